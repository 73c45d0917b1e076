"""A real run of which every request was recorded, replayed with the same arrivals and lengths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from enova.core.accuracy.replay import NeverServed
from enova.core.engine.setup import Version
from enova.core.engine.step_time import NO_FRONTEND, Frontend, StepTime
from enova.core.simulate.engine import Engine, Served
from enova.core.simulate.limits import Limits
from enova.core.workload.request import Request

STATISTICS = {"mean": None, "p50": 50, "p90": 90, "p95": 95, "p99": 99}


class RecordedRequest(NamedTuple):
    """One request; times in seconds from the start of the run, on the engine's own clock."""

    queued_s: float
    """When the scheduler got it."""
    prompt_tokens: int
    output_tokens: int
    first_token_s: float
    last_token_s: float


class Tick(NamedTuple):
    """What the engine reported at a moment."""

    at_s: float
    running: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """A run and the engine it ran on."""

    name: str
    file: str
    source: str
    model: str
    gpu: str
    vllm: Version
    engine: Mapping[str, bool | int | float | str]
    """Settings by the names of EngineSetup, as far as they were given."""
    tensor_parallel: int
    data_parallel: int
    expert_parallel: bool
    kv_blocks: int | None
    """What vLLM counted, its null block included; None: not recorded."""
    requests: tuple[RecordedRequest, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Latencies:
    """Latencies of all requests of a run, in seconds, in any order."""

    ttft_s: NDArray[np.float64]
    tpot_s: NDArray[np.float64]
    e2e_s: NDArray[np.float64]

    def figures(self) -> Iterator[tuple[str, float]]:
        """Yield mean and percentiles of each as `ttft_p90` and so on; percentiles interpolate, as NumPy's do."""
        for metric, values in (("ttft", self.ttft_s), ("tpot", self.tpot_s), ("e2e", self.e2e_s)):
            for statistic, percent in STATISTICS.items():
                value = np.mean(values) if percent is None else np.percentile(values, percent)
                yield f"{metric}_{statistic}", float(value)


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """What became of a run's requests in the simulated engine."""

    latencies: Latencies
    ticks: tuple[Tick, ...]
    """At the moments the real engine reported."""
    preemptions: int


def measured_latencies(run: RecordedRun) -> Latencies:
    """Return what was measured: TTFT from when the scheduler got a request, TPOT over all but the first token."""
    times = np.array(
        [(each.queued_s, each.first_token_s, each.last_token_s, each.output_tokens) for each in run.requests]
    )
    return _latencies(times)


def replay_run(
    run: RecordedRun, step_time: StepTime, limits: Limits, frontend: Frontend = NO_FRONTEND
) -> Replayed:
    """Return what the simulated engine makes of a run. Raises NeverServed when a request can never run."""
    served = _Served()
    engine = Engine(limits, step_time, served, frontend=frontend)
    arrivals = sorted((each.queued_s, number) for number, each in enumerate(run.requests))
    moments = sorted([*((at_s, number) for at_s, number in arrivals), *((tick.at_s, -1) for tick in run.ticks)])
    ticks = []
    for at_s, number in moments:
        engine.advance(at_s)
        if number < 0:
            ticks.append(Tick(at_s, engine.running, engine.waiting))
        else:
            each = run.requests[number]
            engine.submit(Request(number, at_s, each.prompt_tokens, each.output_tokens), at_s)
    engine.advance(inf)
    return Replayed(_latencies(np.array(served.times)), tuple(ticks), engine.preemptions)


class _Served:
    def __init__(self) -> None:
        self.times: list[tuple[float, float, float, int]] = []

    def served(self, served: Served) -> None:
        request = served.request
        self.times.append((request.arrival_s, served.first_token_s, served.finished_s, request.output_tokens))

    def decoded(self, sequences: int, steps: int, first_s: float, last_s: float) -> None:
        pass

    def rejected(self, request: Request, reason: str) -> None:
        raise NeverServed(f"{request.prompt_tokens} + {request.output_tokens} tokens: {reason}")


def _latencies(times: NDArray[np.float64]) -> Latencies:
    queued, first, last, tokens = times.T
    several = tokens > 1
    return Latencies(first - queued, ((last - first) / np.maximum(tokens - 1, 1))[several], last - queued)
