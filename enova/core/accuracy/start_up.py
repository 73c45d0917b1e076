"""What vLLM logged when an engine started: where the memory of one GPU went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from enova.core.engine.memory import GIB, Memory
from enova.core.engine.setup import Version

UNITS = {
    "weights": "GiB",
    "activations": "GiB",
    "cuda_graphs": "GiB",
    "kv_memory": "GiB",
    "kv_tokens": "tokens",
    "kv_blocks": "blocks",
    "max_concurrency": "requests",
}
"""What is compared, in the order it is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUp:
    """One start of an engine. `measured` has figures by the names of UNITS, as far as they were logged."""

    name: str
    file: str
    line: int
    source: str
    model: str
    gpu: str
    vllm: Version
    started: bool
    tensor_parallel: int
    pipeline_parallel: int
    data_parallel: int
    max_model_len: int
    dtype: str
    """Of weights that are not quantised, and of activations: bf16, fp16, fp32."""
    quantisation: str
    """vLLM's word (fp8, gptq_marlin, compressed-tensors); empty: none but the model's own."""
    kv_cache: str
    """auto: as dtype."""
    gpu_memory_utilization: float
    memory_bytes: int | None
    """Of the GPU, as it reported."""
    measured: Mapping[str, float]


def logged(memory: Memory) -> Mapping[str, float]:
    """Return what vLLM would have logged, by the names of UNITS."""
    return {
        "weights": memory.weights / GIB,
        "activations": memory.activations / GIB,
        "cuda_graphs": memory.graphs / GIB,
        "kv_memory": memory.kv_cache / GIB,
        "kv_tokens": memory.kv_tokens,
        "kv_blocks": memory.kv_blocks,
        "max_concurrency": memory.max_concurrency,
    }
