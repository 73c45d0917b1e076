"""The engine setup that a spec describes, with vLLM's defaults for whatever it leaves open."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from enova.core.engine.defaults import NEWEST, cudagraph_sizes, engine_setup
from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.kv_layout import kv_layout
from enova.core.engine.memory import memory_of
from enova.core.engine.model_card import ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.setup import EngineSetup, Speculation, Version
from enova.core.spec import Service

_GIB = 1 << 30

DTYPES = {
    "bfloat16": Numbers.BF16,
    "float16": Numbers.FP16,
    "half": Numbers.FP16,
    "float32": Numbers.FP32,
    "float": Numbers.FP32,
}
QUANTIZED_WHILE_LOADING = {
    "fp8": Numbers.FP8,
    "fp8_per_tensor": Numbers.FP8,
    "fp8_per_block": Numbers.FP8_BLOCK,
    "mxfp8": Numbers.FP8_BLOCK,
    "int8_per_channel_weight_only": Numbers.INT8,
    "bitsandbytes": Numbers.INT4,
    "experts_int8": Numbers.INT8,
}
"""Values of `quantization` that change an unquantised checkpoint; other values name how one is stored."""

ASSUMED_ACCEPTANCE = {"ngram": 0.35, "medusa": 0.55, "eagle": 0.6, "eagle3": 0.7, "mtp": 0.75, "draft_model": 0.65}
"""Share of drafted tokens kept, by method, where nothing was measured. Rough: it depends on the text."""
ASSUMED_DRAFT_SHARE = {
    "ngram": 0.0,
    "medusa": 0.02,
    "eagle": 0.06,
    "eagle3": 0.06,
    "mtp": 0.05,
    "draft_model": 0.12,
}
"""Cost of drafting one token as a share of a decode step: a layer of many, or a model a tenth the size."""

UNMODELLED = (
    "cpu_offload_gb",
    "kv_offloading_size",
    "decode_context_parallel_size",
    "prefill_context_parallel_size",
    "enable_lora",
    "enable_eplb",
    "kv_transfer_config",
)
"""Arguments that change speed or memory and are taken for unset here."""


def setup_of_service(service: Service, model: ModelCard, gpu: GpuCard) -> EngineSetup:
    """Return how one replica of a service runs on such GPUs. `max_model_len: auto` becomes what fits."""
    engine, extra = service.engine, service.engine.extra_args
    version = version_of(engine.version)
    compilation = engine.compilation_config or {}
    length = engine.max_model_len
    setup = engine_setup(
        model,
        gpu,
        vllm=version,
        tensor_parallel=engine.tensor_parallel_size or 1,
        pipeline_parallel=engine.pipeline_parallel_size or 1,
        data_parallel=engine.data_parallel_size or 1,
        expert_parallel=bool(engine.enable_expert_parallel),
        max_model_len=length if isinstance(length, int) else None,
        max_num_seqs=engine.max_num_seqs,
        max_num_batched_tokens=engine.max_num_batched_tokens,
        long_prefill_token_threshold=engine.long_prefill_token_threshold or 0,
        block_size=engine.block_size,
        gpu_memory_utilization=engine.gpu_memory_utilization,
        numbers=DTYPES.get(engine.dtype or "auto"),
        quantization=_quantization(engine.quantization, model),
        kv_cache=kv_numbers(engine.kv_cache_dtype),
        kv_cache_bytes=_kv_cache_bytes(service),
        prefix_caching=engine.enable_prefix_caching,
        chunked_prefill=engine.enable_chunked_prefill is not False,
        async_scheduling=engine.async_scheduling,
        reserve_full_prompt=_flag(extra.get("scheduler_reserve_full_isl")),
        watermark=float(_number(extra.get("watermark")) or 0.0),
        enforce_eager=bool(engine.enforce_eager)
        or engine.optimization_level == 0
        or compilation.get("cudagraph_mode") == "NONE",
        graph_sizes=_graph_sizes(compilation, extra, version),
        speculation=_speculation(engine.speculative_config),
        throughput_mode=engine.performance_mode == "throughput",
    )
    if engine.num_gpu_blocks_override:
        widest = max(kv_layout(setup).bytes_per_block)
        setup = replace(setup, kv_cache_bytes=engine.num_gpu_blocks_override * widest)
    if length == "auto" or extra.get("max_model_len") == -1:
        longest = min(memory_of(setup).longest, setup.max_model_len)
        setup = replace(setup, max_model_len=max(1, longest))
    return setup


def unmodelled(service: Service) -> tuple[str, ...]:
    """Return the arguments of a spec that forecasts of its engine do not know the effect of."""
    named = [name for name in UNMODELLED if getattr(service.engine, name, None) not in (None, False, 1)]
    return (*named, *(["model.lora"] if service.model.lora else []))


def version_of(written: str | None) -> Version:
    """Return major and minor of a version; None, and what is no version, is the newest known."""
    found = re.match(r"v?(\d+)\.(\d+)", written or "")
    return (int(found[1]), int(found[2])) if found else NEWEST


def kv_numbers(dtype: str | None) -> Numbers | None:
    """Return the format that vLLM's `kv_cache_dtype` names; None: as the model."""
    if dtype is None or dtype == "auto":
        return None
    return Numbers.FP8 if dtype.startswith("fp8") else DTYPES.get(dtype)


def _quantization(written: str | None, model: ModelCard) -> Numbers | None:
    plain = model.formats.attention in (Numbers.BF16, Numbers.FP16, Numbers.FP32)
    return (
        QUANTIZED_WHILE_LOADING.get(written or "")
        if plain and model.formats.mlp is model.formats.attention
        else None
    )


def _kv_cache_bytes(service: Service) -> int | None:
    written = service.engine.kv_cache_memory_bytes
    if written:
        return int(written)
    space = service.engine.env.get("VLLM_CPU_KVCACHE_SPACE", "")
    on_cpu = service.placement.accelerator == "cpu"
    return int(space) * _GIB if on_cpu and space.isdecimal() and int(space) else None


def _graph_sizes(
    compilation: Mapping[str, Any], extra: Mapping[str, object], version: Version
) -> tuple[int, ...] | None:
    sizes = compilation.get("cudagraph_capture_sizes", extra.get("cudagraph_capture_sizes"))
    if isinstance(sizes, (list, tuple)) and all(str(size).isdecimal() for size in sizes):
        return tuple(sorted({int(size) for size in sizes}))
    largest = compilation.get("max_cudagraph_capture_size", extra.get("max_cudagraph_capture_size"))
    return cudagraph_sizes(int(largest), vllm=version) if isinstance(largest, int) and largest > 0 else None


def _speculation(config: Mapping[str, Any] | None) -> Speculation | None:
    tokens = (config or {}).get("num_speculative_tokens")
    if not config or not isinstance(tokens, int) or tokens < 1:
        return None
    method = str(config.get("method") or "draft_model")
    kin = next(
        (known for known in sorted(ASSUMED_ACCEPTANCE, key=len, reverse=True) if known in method), "draft_model"
    )
    return Speculation(
        draft_tokens=tokens, acceptance=ASSUMED_ACCEPTANCE[kin], draft_share=ASSUMED_DRAFT_SHARE[kin]
    )


def _flag(value: object) -> bool | None:
    if isinstance(value, str):
        return json.loads(value) if value in ("true", "false") else None
    return value if isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
