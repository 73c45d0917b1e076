"""How one engine is run: everything that changes its speed or its memory, with nothing left open."""

from __future__ import annotations

from dataclasses import dataclass

from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.model_card import ModelCard
from enova.core.engine.numbers import Numbers

Version = tuple[int, int]
"""vLLM's major and minor version, for example (0, 19)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speculation:
    """Draft tokens that one step verifies."""

    draft_tokens: int
    acceptance: float
    """Share of drafted tokens that are kept, 0 to 1."""
    draft_share: float
    """Cost of drafting one token as a share of the model's own decode step; 0 for n-gram lookup."""

    @property
    def tokens_per_step(self) -> float:
        """Return mean tokens a sequence gains in a step: 1 + a + a² + … (Leviathan et al. 2023, eq. 1)."""
        return sum(self.acceptance**position for position in range(self.draft_tokens + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSetup:
    """One engine: a model on `tensor_parallel * pipeline_parallel * data_parallel` GPUs."""

    model: ModelCard
    gpu: GpuCard
    vllm: Version
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    """Ranks of attention data parallelism that step together (with expert parallelism across all of them)."""
    expert_parallel: bool = False
    """Experts are spread over all GPUs instead of each being cut across them."""
    max_model_len: int
    max_num_seqs: int
    """Of one data-parallel rank, as for vLLM."""
    max_num_batched_tokens: int
    """Of one data-parallel rank, as for vLLM."""
    long_prefill_token_threshold: int = 0
    """0: none."""
    block_size: int = 16
    gpu_memory_utilization: float
    kv_cache: Numbers
    kv_cache_bytes: int | None = None
    """Set by the user (kv_cache_memory_bytes), in place of what profiling leaves."""
    prefix_caching: bool = True
    chunked_prefill: bool = True
    async_scheduling: bool = True
    reserve_full_prompt: bool = True
    """A prompt is admitted only if all of it fits (scheduler_reserve_full_isl)."""
    watermark: float = 0.0
    enforce_eager: bool = False
    piecewise_graphs: bool = True
    """Steps with prompt chunks run in captured or compiled pieces; not with cudagraph_mode FULL_DECODE_ONLY."""
    cudagraph_sizes: tuple[int, ...]
    """Decode batches are padded up to the next of these; larger ones run as they are."""
    speculation: Speculation | None = None

    @property
    def gpus(self) -> int:
        """Return how many GPUs the engine takes."""
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel
