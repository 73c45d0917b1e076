"""What differs between versions of vLLM, as far as it changes speed or memory. Read from its tagged sources."""

from __future__ import annotations

from dataclasses import dataclass, replace

from enova.core.engine.setup import Version

_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDefaults:
    """How much one step may hold on GPUs of some size, where the user does not say (vLLM's API server)."""

    memory_bytes: int
    """Of GPUs with at least this much."""
    a100: bool
    """Whether A100s count among them."""
    max_num_batched_tokens: int
    max_num_seqs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How versions from `since` on behave, until the next one."""

    since: Version
    gpu_memory_utilization: float = 0.9
    batch: tuple[BatchDefaults, ...] = (
        BatchDefaults(memory_bytes=70 * _GIB, a100=False, max_num_batched_tokens=8192, max_num_seqs=1024),
        BatchDefaults(memory_bytes=0, a100=True, max_num_batched_tokens=2048, max_num_seqs=256),
    )
    """The first that fits."""
    async_scheduling: bool = False
    async_with_stages: bool = False
    """Whether it also goes with pipeline parallelism."""
    reserve_full_prompt: bool = False
    graphs_in_budget: bool = False
    """CUDA graphs are estimated and taken off the KV cache; before, they came on top of the budget."""
    coarse_graphs: bool = True
    """Above 256, graphs are captured in steps of 16 instead of 8."""
    largest_graph_blackwell: int = 512
    lean_sampler_dense: bool = False
    """Profiling samples without top-k and top-p, so without copying logits (model runner V2): dense models."""
    lean_sampler_experts: bool = False
    """The same for mixtures of experts."""
    in_flight_windows: bool = False
    """Sliding windows hold the tokens of every step in flight, two with async scheduling, not of one."""
    recurrent_prefixes: bool = False
    """Prefix caching is on for models with recurrent states too; each sequence then holds a state more."""
    tokens_by_concurrency: bool = False
    """Capacity in tokens is told as concurrency times `max_model_len`, not as blocks times block size."""
    cpu_in_budget: bool = False
    """On CPUs `gpu_memory_utilization` of the memory is the budget; before, half of it was the KV cache."""


_FIRST = Behaviour(since=(0, 9), coarse_graphs=False)
_0_11 = replace(_FIRST, since=(0, 11), coarse_graphs=True)
_0_14 = replace(_0_11, since=(0, 14), async_scheduling=True)
_0_18 = replace(_0_14, since=(0, 18), async_with_stages=True)
_0_19 = replace(_0_18, since=(0, 19), reserve_full_prompt=True)
_0_20 = replace(_0_19, since=(0, 20), gpu_memory_utilization=0.92, graphs_in_budget=True, cpu_in_budget=True)
_0_21 = replace(_0_20, since=(0, 21), tokens_by_concurrency=True)
_0_26 = replace(_0_21, since=(0, 26), in_flight_windows=True, lean_sampler_dense=True)
_0_28 = replace(
    _0_26,
    since=(0, 28),
    batch=(
        BatchDefaults(memory_bytes=160 * _GIB, a100=True, max_num_batched_tokens=16384, max_num_seqs=1024),
        *_FIRST.batch,
    ),
    largest_graph_blackwell=1024,
    recurrent_prefixes=True,
)
_0_32 = replace(_0_28, since=(0, 32), lean_sampler_experts=True)

BEHAVIOURS = (_FIRST, _0_11, _0_14, _0_18, _0_19, _0_20, _0_21, _0_26, _0_28, _0_32)


def behaviour_of(version: Version) -> Behaviour:
    """Return how a version behaves; one before the first known behaves like that, a future one like the last."""
    return next((known for known in reversed(BEHAVIOURS) if known.since <= version), BEHAVIOURS[0])
