"""Whether an engine starts with the memory there is; if not, why, and the nearest that would."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from enova.core.engine.memory import COLLECTIVE_CONTEXT_BYTES, CONTEXT_BYTES, GIB, Memory, memory_of
from enova.core.engine.numbers import Numbers
from enova.core.engine.setup import EngineSetup
from enova.core.engine.weights import VOCAB_ROWS

MOST_ASKED_FOR = 0.97
"""No higher gpu_memory_utilization is advised: memory fragments, and drivers take some too."""

_SIXTEEN_BITS = (Numbers.BF16, Numbers.FP16)


class Remedy(NamedTuple):
    """One argument, changed, that lets the engine start."""

    argument: str
    """Under vLLM's name."""
    value: str


class Fit(NamedTuple):
    """What start-up comes to."""

    memory: Memory
    reason: str | None
    """Why it does not start; None: it does."""
    remedies: tuple[Remedy, ...] = ()
    """Each of which is enough by itself, the mildest first; none: no single change helps."""

    @property
    def starts(self) -> bool:
        """Tell whether the engine starts."""
        return self.reason is None


def fit_of(setup: EngineSetup) -> Fit:
    """Return whether a setup starts. A future in which one argument differs is tried for each that may help."""
    reason = _reason(setup)
    return Fit(memory_of(setup), reason, tuple(_remedies(setup)) if reason else ())


def most_of_memory(setup: EngineSetup) -> float:
    """Return the highest gpu_memory_utilization to advise, in hundredths: what CUDA leaves, and no more than all."""
    return math.floor(100 * min(MOST_ASKED_FOR, 1 - _context_bytes(setup) / setup.gpu.memory_bytes)) / 100


def _reason(setup: EngineSetup) -> str | None:
    return _misshapen(setup) or _too_little(setup)


def _misshapen(setup: EngineSetup) -> str | None:
    """Say what cannot be cut into as many parts as there are ranks, or is longer than the model goes."""
    model, ranks = setup.model, setup.tensor_parallel
    for entry in model.attention:
        if entry.heads % ranks:
            return f"its {entry.heads} attention heads cannot be shared by {ranks} GPUs"
        if max(entry.kv_heads, ranks) % min(entry.kv_heads, ranks):
            return f"its {entry.kv_heads} key and value heads cannot be shared by {ranks} GPUs"
    rows = math.ceil(model.vocab_size / VOCAB_ROWS) * VOCAB_ROWS
    if rows % ranks:
        return f"its vocabulary of {rows:,} rows cannot be shared by {ranks} GPUs"
    if setup.pipeline_parallel > model.layers:
        return f"its {model.layers} layers cannot be split into {setup.pipeline_parallel} stages"
    if setup.max_model_len > model.max_model_len:
        return f"max_model_len {setup.max_model_len:,} is more than the {model.max_model_len:,} it was made for"
    return None


def _too_little(setup: EngineSetup) -> str | None:
    memory = memory_of(setup)
    free = memory.total - _context_bytes(setup)
    if memory.requested > free and not setup.kv_cache_bytes:
        return (
            f"{memory.requested / GIB:.2f} GiB of each GPU are asked for, and {free / GIB:.2f} are free "
            "once CUDA has started"
        )
    taken = memory.weights + memory.activations + memory.other
    if setup.kv_cache_bytes and taken + setup.kv_cache_bytes > free:
        return (
            f"{setup.kv_cache_bytes / GIB:.2f} GiB of KV cache and {taken / GIB:.2f} of weights and activations "
            f"are more than the {free / GIB:.2f} GiB of a GPU"
        )
    if memory.kv_cache <= 0:
        return (
            f"weights and activations take {taken / GIB:.2f} of the {memory.requested / GIB:.2f} GiB "
            "it may use, which leaves no KV cache"
        )
    needed = memory.layout.blocks(setup.max_model_len)
    if needed > memory.kv_blocks:
        return (
            f"one sequence of {setup.max_model_len:,} tokens needs {needed * memory.bytes_per_block / GIB:.2f} "
            f"GiB of KV cache, and {memory.kv_cache / GIB:.2f} are left"
        )
    return None


def _context_bytes(setup: EngineSetup) -> float:
    if setup.gpu.vendor == "cpu":
        return 0.0
    return CONTEXT_BYTES if setup.gpus == 1 else COLLECTIVE_CONTEXT_BYTES


def _remedies(setup: EngineSetup) -> Iterator[Remedy]:
    """Yield what is enough by itself, the mildest first."""
    for share in _shares(setup):
        if _reason(replace(setup, gpu_memory_utilization=share)) is None:
            yield Remedy("gpu_memory_utilization", f"{share:.2f}")
            break
    longest = min(memory_of(setup).longest, setup.model.max_model_len, setup.max_model_len - 1)
    rounded = longest // 1024 * 1024 or longest
    if rounded > 0 and _reason(replace(setup, max_model_len=rounded)) is None:
        yield Remedy("max_model_len", str(rounded))
    narrow = replace(setup, kv_cache=Numbers.FP8)
    if setup.kv_cache in _SIXTEEN_BITS and setup.gpu.vendor != "cpu" and _reason(narrow) is None:
        yield Remedy("kv_cache_dtype", "fp8")
    for ranks in _other_ranks(setup):
        if _reason(replace(setup, tensor_parallel=ranks)) is None:
            yield Remedy("tensor_parallel_size", str(ranks))
            break


def _shares(setup: EngineSetup) -> list[float]:
    """Shares of the memory that may be asked for: the greater ones, nearest first, then the smaller ones."""
    shares = [hundredth / 100 for hundredth in range(50, round(100 * most_of_memory(setup)) + 1)]
    now = setup.gpu_memory_utilization
    return [share for share in shares if share > now] + [share for share in reversed(shares) if share < now]


def _other_ranks(setup: EngineSetup) -> list[int]:
    """Tensor-parallel sizes that a host has GPUs for: greater ones first, then, if the shape is wrong, smaller."""
    beside = setup.pipeline_parallel * setup.data_parallel
    sizes = [size for size in (1, 2, 4, 8, 16) if size * beside <= max(setup.gpu.gpus_per_host, setup.gpus)]
    greater = [size for size in sizes if size > setup.tensor_parallel]
    smaller = [size for size in reversed(sizes) if size < setup.tensor_parallel]
    return greater + (smaller if _misshapen(setup) else [])
