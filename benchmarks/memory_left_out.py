"""How wrong start-up memory is for a model that nothing was fitted to.

    uv run python benchmarks/memory_left_out.py [FILE]

For every model of a table of starts (default: data/memory/vllm_startup_h100.csv) the overheads are fitted to
the starts of all other models, and the left-out ones predicted: KV tokens in per cent, parts in GiB.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

from enova.adapters.facts import gpu_card, model_card
from enova.adapters.measurements.start_up import read_start_ups
from enova.core.accuracy.start_up import StartUp
from enova.core.engine.defaults import engine_setup
from enova.core.engine.memory import GIB, memory_of
from enova.core.engine.numbers import Numbers
from enova.core.engine.profiling import OVERHEADS, Overheads, activation_bytes
from enova.core.engine.service_setup import kv_numbers
from enova.core.engine.setup import EngineSetup

SHARED = Path(os.environ.get("ENOVA_SHARED", Path(__file__).parents[2] / "shared"))
TABLE = SHARED / "data/memory/vllm_startup_h100.csv"


def setup_of(start: StartUp) -> EngineSetup:
    gpu = gpu_card(start.gpu)
    return engine_setup(
        model_card(start.model),
        replace(gpu, memory_bytes=start.memory_bytes or gpu.memory_bytes),
        vllm=start.vllm,
        tensor_parallel=start.tensor_parallel,
        pipeline_parallel=start.pipeline_parallel,
        data_parallel=start.data_parallel,
        max_model_len=start.max_model_len,
        gpu_memory_utilization=start.gpu_memory_utilization,
        numbers=Numbers(start.dtype),
        quantization=Numbers.FP8 if start.quantisation == "fp8" else None,
        kv_cache=kv_numbers(start.kv_cache),
    )


def other_gib(start: StartUp) -> float:
    """What is neither weights nor activations, from what was asked for and what was left."""
    asked = (start.memory_bytes or 0) * start.gpu_memory_utilization / GIB
    of = start.measured
    return asked - of["weights"] - of["activations"] - of["kv_memory"]


def fitted(starts: Sequence[StartUp]) -> Overheads:
    """Medians for what is one number, least squares for what grows, least deviations for activations."""
    alone = [other_gib(s) for s in starts if s.tensor_parallel * s.pipeline_parallel == 1]
    together = [s for s in starts if s.tensor_parallel > 1]
    many = OVERHEADS.libraries_of_many_bytes
    collectives = (OVERHEADS.collectives_bytes, OVERHEADS.collectives_per_doubling_bytes)
    if len({s.tensor_parallel for s in together}) > 1:
        doublings = np.array([[1.0, s.tensor_parallel.bit_length() - 1] for s in together])
        measured = np.array([other_gib(s) * GIB - many for s in together])
        first, per_doubling = np.linalg.lstsq(doublings, measured, rcond=None)[0]
        collectives = (float(first), float(per_doubling))
    plain = [s for s in starts if s.pipeline_parallel == 1]

    def deviation(copies: float) -> float:
        overheads = replace(OVERHEADS, hidden_copies=copies)
        return sum(
            abs(activation_bytes(setup_of(s), overheads)[0] / GIB - s.measured["activations"]) for s in plain
        )

    copies = minimize_scalar(deviation, bounds=(0.0, 12.0), method="bounded").x
    return replace(
        OVERHEADS,
        hidden_copies=float(copies),
        libraries_bytes=statistics.median(alone) * GIB,
        collectives_bytes=collectives[0],
        collectives_per_doubling_bytes=collectives[1],
    )


def main(path: Path) -> None:
    starts = [start for start in read_start_ups(path)[0] if start.started]
    errors: dict[str, list[float]] = {"KV tokens %": [], "weights GiB": [], "activations GiB": [], "other GiB": []}
    for model in sorted({start.model for start in starts}):
        overheads = fitted([start for start in starts if start.model != model])
        for start in (start for start in starts if start.model == model):
            memory = memory_of(setup_of(start), overheads)
            measured = start.measured
            found = {"KV tokens %": 100 * (memory.kv_tokens / measured["kv_tokens"] - 1)}
            if start.pipeline_parallel == 1:
                # With stages the parts that are logged are those of several.
                found["weights GiB"] = memory.weights / GIB - measured["weights"]
                found["activations GiB"] = memory.activations / GIB - measured["activations"]
                found["other GiB"] = memory.other / GIB - other_gib(start)
            for name, error in found.items():
                errors[name].append(abs(error))
            told = "  ".join(f"{name} {error:+.3f}" for name, error in found.items())
            print(f"{model[-44:]:44} TP{start.tensor_parallel} PP{start.pipeline_parallel}  {told}")
    for name, found_errors in errors.items():
        print(
            f"{name:16} {len(found_errors):3} starts: mean {statistics.mean(found_errors):.3f}, "
            f"median {statistics.median(found_errors):.3f}, most {max(found_errors):.3f}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TABLE)
