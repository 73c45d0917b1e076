"""Replay a benchmark on the simulated engine."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np

from enova.core.accuracy.benchmark import Benchmark
from enova.core.engine.step_time import NO_FRONTEND, Frontend, StepTime
from enova.core.simulate.engine import Engine, Served
from enova.core.simulate.limits import Limits
from enova.core.workload.request import Request


class Means(NamedTuple):
    """What benchmark clients report of a run: the mean over its requests."""

    ttft_s: float
    tpot_s: float
    """Mean of each request's own; requests of one token have none, and without any other it is 0."""


class NeverServed(ValueError):
    """A request of the load can never run on this engine."""


def replay(
    load: Benchmark, step_time: StepTime, limits: Limits, frontend: Frontend = NO_FRONTEND, *, leap: bool = True
) -> Means:
    """Return the means that a client of this load would report.

    Raises NeverServed when a request is too long for the engine.
    """
    users = _Users(load)
    users.engine = Engine(limits, step_time, users, frontend=frontend, leap=leap)
    for _ in range(load.users):
        users.send(0.0)
    users.engine.advance(inf)
    return users.means()


class _Users:
    """The users, as the engine sees them: what is done when one of them is answered."""

    engine: Engine

    def __init__(self, load: Benchmark) -> None:
        self._left = load.requests()
        self._uncounted = load.uncounted
        self._ttft_s: list[float] = []
        self._tpot_s: list[float] = []

    def send(self, now_s: float) -> None:
        request = next(self._left, None)
        if request is not None:
            self.engine.submit(request._replace(arrival_s=now_s), now_s)

    def served(self, served: Served) -> None:
        if served.request.number >= self._uncounted:
            self._count(served)
        self.send(served.finished_s)

    def _count(self, served: Served) -> None:
        self._ttft_s.append(served.first_token_s - served.request.arrival_s)
        further = served.request.output_tokens - 1
        if further:
            self._tpot_s.append((served.finished_s - served.first_token_s) / further)

    def decoded(self, sequences: int, steps: int, first_s: float, last_s: float) -> None:
        pass

    def rejected(self, request: Request, reason: str) -> None:
        raise NeverServed(f"{request.prompt_tokens} + {request.output_tokens} tokens: {reason}")

    def means(self) -> Means:
        return Means(float(np.mean(self._ttft_s)), float(np.mean(self._tpot_s)) if self._tpot_s else 0.0)
