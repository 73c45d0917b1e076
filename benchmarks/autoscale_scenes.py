"""Traffic that scaling policies are compared on: public traces, production rates, and shapes that hurt.

`TUNING` was looked at while the autoscaler's constants were chosen, `FINAL` was not. Traces are read from
$ENOVA_SHARED/data/traces: Azure's LLM inference trace of 2023 (CC-BY), Mooncake's conversations (Apache-2.0), and
the rates that ServeGen published of production services (Apache-2.0), scaled to a mean of `DAY_RATE`.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_card, model_card
from enova.adapters.traces import read_rates, read_recording
from enova.core.backtest.backtest import Traffic, traffic_of
from enova.core.backtest.notes import Floats
from enova.core.backtest.scene import Scene
from enova.core.control.capacities import plant_of
from enova.core.control.history import BIN_S
from enova.core.control.plant import Plant
from enova.core.engine.defaults import engine_setup
from enova.core.simulate.forecast import Conditions, replica_of
from enova.core.simulate.promises import promises_of
from enova.core.spec.injection import Injection
from enova.core.spec.service import Slo
from enova.core.workload.load import load_of

TRACES = Path(os.environ.get("ENOVA_SHARED", "../shared")) / "data" / "traces"
DAY_RATE = 0.8
DAY_S, STEP_S = 86_400, 600
CHAT: dict[str, Any] = {
    "prompt_tokens": {"distribution": "lognormal", "mean": 1155, "std": 1109, "max": 16_000},
    "output_tokens": {"distribution": "lognormal", "mean": 211, "std": 163, "max": 1000},
}
"""As Azure's conversations."""
HEAVY: dict[str, Any] = {
    "prompt_tokens": {"distribution": "lognormal", "mean": 12_000, "std": 8000, "max": 30_000},
    "output_tokens": {"distribution": "lognormal", "mean": 800, "std": 500, "max": 2000},
}
"""So heavy that a day at a rate that can be simulated keeps several replicas busy."""
LONG: dict[str, Any] = {
    "prompt_tokens": {"distribution": "fixed", "tokens": 8000},
    "output_tokens": {"distribution": "lognormal", "mean": 150, "std": 100, "max": 1000},
}


@dataclass(frozen=True, slots=True)
class Served:
    """What serves, and what it promises."""

    model: str
    gpu: str
    gpus: int
    ttft_s: float
    tpot_s: float


SMALL = Served("Qwen/Qwen3-8B", "l40s", 1, 2.0, 0.06)
MIDDLE = Served("Qwen/Qwen3-32B", "h100-sxm", 2, 5.0, 0.1)
LARGE = Served("Qwen/Qwen2.5-72B-Instruct", "h100-sxm", 4, 10.0, 0.1)


@dataclass(frozen=True, slots=True)
class Case:
    """One trace on one service."""

    served: Served
    injection: Callable[[int], dict[str, Any]]
    """By seed."""
    before: Callable[[int], Floats] | None = None
    """Rates of the days before, by seed, one a bin; what a service that has run for a while knows."""
    idle_to_zero_s: float | None = None
    daily: bool = False


def _trace(name: str) -> Callable[[int], dict[str, Any]]:
    return lambda _: {"arrival": {"process": "trace", "file": str(TRACES / name)}}


def _stages(*stages: tuple[float, float, float | None], lengths: Mapping[str, Any] = CHAT) -> dict[str, Any]:
    listed = [
        {"duration": f"{minutes}m", "rate": f"{rate:.6f}/s"} | ({} if to is None else {"to_rate": f"{to:.6f}/s"})
        for minutes, rate, to in stages
    ]
    return {"arrival": {"process": "stages", "stages": listed}, **lengths}


def _day(name: str, first: int) -> tuple[Callable[[int], dict[str, Any]], Callable[[int], Floats]]:
    """Return a day of production rates for each seed, a day later each, and what came before it."""

    def rates() -> Floats:
        per_s = np.array([rate for _, rate in read_rates(str(TRACES / name))])
        scaled: Floats = per_s * DAY_RATE / per_s.mean()
        return scaled

    def steps(seed: int) -> tuple[int, int]:
        begin = (first + seed) * DAY_S // STEP_S
        return begin, begin + DAY_S // STEP_S

    def injection(seed: int) -> dict[str, Any]:
        begin, end = steps(seed)
        day = rates()[begin : end + 1].tolist()
        pairs = zip(day, [*day[1:], day[-1]], strict=True)
        return _stages(*((10, rate, then) for rate, then in list(pairs)[: end - begin]), lengths=HEAVY)

    return injection, lambda seed: np.repeat(rates()[: steps(seed)[0]], round(STEP_S / BIN_S))


def _reasoning() -> dict[str, Any]:
    """A single day, of which nothing is known before."""
    with (TRACES / "rate_10min_reason_deepseek-r1.csv").open(encoding="utf-8") as file:
        per_s = np.array([float(row["rate_rps"]) for row in csv.DictReader(file)])
    day = (per_s * DAY_RATE / per_s.mean()).tolist()
    return _stages(*((10, rate, then) for rate, then in zip(day, [*day[1:], day[-1]], strict=True)), lengths=HEAVY)


WORKDAY: tuple[tuple[float, float, float | None], ...] = (
    (480, 0.0, None),
    (60, 0.0, 2.0),
    (480, 2.0, None),
    (60, 2.0, 0.0),
    (360, 0.0, None),
)
"""Minutes and requests/s: nothing at night."""


def _workdays_before(_: int) -> Floats:
    day = np.concatenate([
        np.linspace(rate, rate if to is None else to, round(minutes * 60 / BIN_S)) for minutes, rate, to in WORKDAY
    ])  # fmt: skip
    return np.tile(day, 2)


_LARGE, _MID = _day("rate_10min_language_m-large.csv", 7), _day("rate_10min_language_m-mid.csv", 8)
TUNING: dict[str, Case] = {
    "azure-conv": Case(SMALL, _trace("AzureLLMInferenceTrace_conv.csv")),
    "day-large": Case(LARGE, *_LARGE, daily=True),
    "ramp": Case(SMALL, lambda _: _stages((5, 2, None), (16, 2, 10), (16, 10, 1), (5, 1, None))),
    "flash": Case(SMALL, lambda _: _stages((20, 2, None), (1, 2, 20), (15, 20, None), (5, 20, 2), (20, 2, None))),
}
FINAL: dict[str, Case] = {
    "azure-code": Case(SMALL, _trace("AzureLLMInferenceTrace_code.csv")),
    "mooncake": Case(replace(MIDDLE, ttft_s=10.0), _trace("mooncake_conversation.jsonl")),
    "day-mid": Case(LARGE, *_MID, daily=True),
    "day-reasoning": Case(LARGE, lambda _: _reasoning(), daily=True),
    "sine": Case(
        MIDDLE,
        lambda _: {
            "arrival": {"process": "diurnal", "low": "1/s", "high": "24/s", "period": "900s", "peak_at": "450s"},
            "duration": "2h",
            **LONG,
        },
    ),
    "idle-nights": Case(SMALL, lambda _: _stages(*WORKDAY), _workdays_before, idle_to_zero_s=900.0),
}
CASES = {**TUNING, **FINAL}


def scene_of(name: str, start_up_s: float, seed: int) -> tuple[Scene, Plant, Traffic, Floats | None]:
    """Return a case as a scene, with its plant, its traffic and what is known from before."""
    case = CASES[name]
    served = case.served
    setup = engine_setup(model_card(served.model), gpu_card(served.gpu), tensor_parallel=served.gpus)
    replica = replica_of(setup, measured_curves(), start_up_s=start_up_s)
    injection = Injection.model_validate(case.injection(seed))
    assert injection.arrival is not None
    files = [injection.arrival.file] if injection.arrival.process == "trace" else []
    load = load_of(injection, seed=seed, recordings={file: read_recording(file) for file in files})
    slo = Slo.model_validate({"ttft": {"p99": f"{served.ttft_s}s"}, "tpot": {"p99": f"{served.tpot_s}s"}})
    promises = promises_of(slo)
    plant = plant_of(replica, load, Conditions(promises=promises, policy="power_of_two"))
    traffic = traffic_of(tuple(load.requests()), load.duration_s)
    scene = Scene(
        replica=replica,
        requests=lambda: traffic.requests,
        until_s=traffic.until_s,
        promises=promises,
        seed=seed,
        gpus=served.gpus,
    )
    before = None if case.before is None else case.before(seed)
    return scene, replace(plant, idle_to_zero_s=case.idle_to_zero_s), traffic, before
