"""Whether engines fit their GPUs, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.text import Text

from enova.core.engine.fit import Fit
from enova.core.engine.memory import GIB, Memory

SCHEMA_VERSION = 1


class Judged(NamedTuple):
    """One engine and what came of it."""

    service: str | None
    """None: it is of no spec."""
    fit: Fit
    unmodelled: tuple[str, ...]
    """Arguments whose effect is not known."""


def fits_text(judged: Sequence[Judged], tokens: int) -> Text:
    """Return a block for each engine. `tokens`: also say how many sequences of that length fit; 0: do not."""
    text = Text()
    for one in judged:
        _one(text, one, tokens)
    return text


def fits_as_json(judged: Sequence[Judged], tokens: int) -> dict[str, Any]:
    """Return `{schema_version, fits: [{service, model, gpu, …, memory_bytes: {…}, kv_blocks, …}]}`, in bytes."""
    return {"schema_version": SCHEMA_VERSION, "fits": [_as_json(one, tokens) for one in judged]}


def _one(text: Text, one: Judged, tokens: int) -> None:
    memory = one.fit.memory
    setup = memory.setup
    if one.service:
        text.append(f"{one.service}: ")
    text.append(setup.model.name, "bold").append(f" on {_gpus(memory)}, vLLM {_version(memory)}: ")
    text.append(*(("fits", "green") if one.fit.starts else ("does not fit", "red"))).append("\n")
    if one.fit.reason:
        text.append("  because ").append(f"{one.fit.reason}\n")
    if one.fit.remedies:
        ways = ", or ".join(f"{remedy.argument}: {remedy.value}" for remedy in one.fit.remedies)
        text.append("  try ", "cyan").append(f"{ways}\n")
    for name, size, remark in _parts(memory):
        text.append(f"  {name:<16}{size / GIB:>8.2f} GiB").append(f"  {remark}" if remark else "", "dim").append(
            "\n"
        )
    for length, what in _lengths(memory, tokens):
        text.append(f"  {'concurrency':<16}{memory.concurrency(length):>8.2f}      ")
        text.append(f"sequences of {length:,} tokens ({what})\n", "dim")
    if one.unmodelled:
        text.append("  note: ", "cyan").append(f"not taken into account: {', '.join(one.unmodelled)}\n")
    text.append("\n")


def _parts(memory: Memory) -> list[tuple[str, int, str]]:
    setup = memory.setup
    graphs = "" if memory.graphs_in_budget else "on top of what may be used"
    cache = f"{memory.kv_blocks:,} blocks, {memory.kv_tokens:,} tokens"
    if setup.data_parallel > 1:
        cache += " in each data-parallel rank"
    peak = f"{setup.max_num_batched_tokens:,} tokens and {setup.max_num_seqs:,} sequences in a step"
    usable = f"of {memory.total / GIB:.2f}, gpu_memory_utilization {setup.gpu_memory_utilization:g}"
    on_cpu = setup.gpu.vendor == "cpu"
    rows = [
        ("may use" if on_cpu else "each GPU may use", memory.requested, usable),
        ("weights", memory.weights, ""),
    ]
    if not on_cpu:
        rows.append(("activations", memory.activations, peak))
        rows.append(("CUDA graphs", memory.graphs, graphs))
    rows.append(("other", memory.other, "the program" if on_cpu else "CUDA kernels, collectives"))
    rows.append(("KV cache", max(0, memory.kv_cache), cache))
    return rows


def _lengths(memory: Memory, tokens: int) -> list[tuple[int, str]]:
    if not memory.kv_blocks:
        return []
    asked = [(tokens, "prompt and output")] if tokens else []
    return [(memory.setup.max_model_len, "max_model_len"), *asked]


def _gpus(memory: Memory) -> str:
    setup = memory.setup
    parts = (("TP", setup.tensor_parallel), ("PP", setup.pipeline_parallel), ("DP", setup.data_parallel))
    split = " ".join(f"{name}{size}" for name, size in parts if size > 1)
    if setup.gpus == 1:
        return setup.gpu.name
    return f"{setup.gpus} x {setup.gpu.name} ({split}{' EP' if setup.expert_parallel else ''})"


def _version(memory: Memory) -> str:
    major, minor = memory.setup.vllm
    return f"{major}.{minor}"


def _as_json(one: Judged, tokens: int) -> dict[str, Any]:
    memory = one.fit.memory
    setup = memory.setup
    return {
        "service": one.service,
        "model": setup.model.name,
        "gpu": setup.gpu.name,
        "vllm": _version(memory),
        "tensor_parallel_size": setup.tensor_parallel,
        "pipeline_parallel_size": setup.pipeline_parallel,
        "data_parallel_size": setup.data_parallel,
        "fits": one.fit.starts,
        "reason": one.fit.reason,
        "remedies": [remedy._asdict() for remedy in one.fit.remedies],
        "memory_bytes": {
            "total": memory.total,
            "requested": memory.requested,
            "weights": memory.weights,
            "activations": memory.activations,
            "cuda_graphs": memory.graphs,
            "other": memory.other,
            "kv_cache": max(0, memory.kv_cache),
        },
        "cuda_graphs_in_budget": memory.graphs_in_budget,
        "block_size": memory.layout.block_size,
        "kv_blocks": memory.kv_blocks,
        "kv_tokens": memory.kv_tokens,
        "longest_max_model_len": min(memory.longest, setup.model.max_model_len),
        "concurrency": [
            {"tokens": length, "sequences": round(memory.concurrency(length), 2)}
            for length, _ in _lengths(memory, tokens)
        ],
        "unmodelled": list(one.unmodelled),
    }
