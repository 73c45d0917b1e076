"""Learn step times from what users saw: those under which a simulation of the same load gives the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from enova.core.engine.correction import SPREAD, UNCORRECTED, Corrected, Correction, Corrections
from enova.core.engine.regression import Estimate, Floats
from enova.core.engine.step_time import NO_FRONTEND, Frontend, StepTime
from enova.core.simulate.engine import Engine, Served
from enova.core.simulate.limits import Limits
from enova.core.workload.request import Request

NOISE = {"mean": 0.05, "p50": 0.05, "p90": 0.07, "p95": 0.1, "p99": 0.15}
"""Relative error that a statistic of a few hundred requests has, by chance and by what no model knows."""
LATENCIES = ("ttft", "tpot", "e2e")
STEP = 0.03
"""Change of a correction that shows what it does: a smaller one drowns in single requests that move by a step."""
ROUNDS = 15
"""Of improving the corrections; mostly fewer than 10 are needed."""


@dataclass(frozen=True, slots=True)
class Run:
    """A load that one engine got, and what its users saw."""

    requests: Sequence[Request]
    """By arrival."""
    seen_s: Mapping[str, float]
    """Statistics in seconds, such as `ttft.mean` or `e2e.p95`: `LATENCIES` and `NOISE` have the words."""


def learn(
    base: StepTime,
    limits: Limits,
    runs: Sequence[Run],
    *,
    frontend: Frontend = NO_FRONTEND,
    spread: float = SPREAD,
) -> Correction:
    """Return the corrections of a source of step times that make simulated runs most like real ones.

    A correction that no figure depends on stays as it is. Raises ValueError for statistics it does not know.
    """
    unknown = sorted({name for run in runs for name in run.seen_s} - set(_NOISE_OF))
    if unknown:
        raise ValueError(f"unknown statistics: {', '.join(unknown)}; known are {', '.join(_NOISE_OF)}")
    believed = np.array(UNCORRECTED, dtype=np.float64)
    doubts = spread * np.array([base.decode_line(1, 0.0, 0.0).base_s, 1.0, 1.0, 1.0])
    noise = np.array([_NOISE_OF[name] for run in runs for name in run.seen_s])
    wanted = np.log([seen_s for run in runs for seen_s in run.seen_s.values()])

    def errors(moved: Floats) -> Floats:
        step_time = Corrected(base, Corrections(*(believed + doubts * moved).tolist()))
        figures = [_figures(run, limits, step_time, frontend) for run in runs]
        found = np.log([found[name] for run, found in zip(runs, figures, strict=True) for name in run.seen_s])
        return np.concatenate([(found - wanted) / noise, moved])

    def slopes(moved: Floats) -> Floats:
        here, step = errors(moved), STEP / spread
        return np.stack([(errors(moved + step * unit) - here) / step for unit in np.eye(len(moved))], axis=1)

    least = -believed / doubts
    start = np.maximum(0.0, least + STEP)
    solution: Any = least_squares(
        errors, start, jac=slopes, bounds=(least, inf), loss="soft_l1", max_nfev=ROUNDS, xtol=STEP / 10, ftol=1e-3
    )
    covariance = np.linalg.inv(solution.jac.T @ solution.jac) * np.outer(doubts, doubts)
    off = (errors(solution.x)[: len(noise)] * noise) if len(noise) else np.zeros(1)
    estimate = Estimate(believed + doubts * solution.x, covariance, float(np.sqrt(np.mean(off**2))), len(noise))
    return Correction(base, estimate)


_NOISE_OF = {f"{latency}.{statistic}": noise for latency in LATENCIES for statistic, noise in NOISE.items()}


class _Answers:
    """Keeps what became of each request."""

    def __init__(self) -> None:
        self.answers: list[Served] = []

    def served(self, served: Served) -> None:
        self.answers.append(served)

    def decoded(self, sequences: int, steps: int, first_s: float, last_s: float) -> None:
        pass

    def rejected(self, request: Request, reason: str) -> None:
        pass


def _figures(run: Run, limits: Limits, step_time: StepTime, frontend: Frontend) -> dict[str, float]:
    seen = _Answers()
    engine = Engine(limits, step_time, seen, frontend=frontend)
    for request in run.requests:
        engine.advance(request.arrival_s)
        engine.submit(request, request.arrival_s)
    engine.advance(inf)
    sent, first, last, tokens = np.array(
        [(a.request.arrival_s, a.first_token_s, a.finished_s, a.request.output_tokens) for a in seen.answers]
    ).T
    several = tokens > 1
    latencies = (first - sent, ((last - first)[several] / (tokens - 1)[several]), last - sent)
    return {
        f"{name}.{statistic}": float(
            values.mean() if statistic == "mean" else np.percentile(values, int(statistic[1:]))
        )
        for name, values in zip(LATENCIES, latencies, strict=True)
        for statistic in NOISE
    }
