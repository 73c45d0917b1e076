"""What tests of engines share: a small engine, and an observer that also keeps the gaps between tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from enova.core.engine.step_time import NO_FRONTEND, Frontend, StepTime
from enova.core.simulate.engine import Engine, Served
from enova.core.simulate.limits import KvPages, Limits
from enova.core.workload.request import Request
from tests.core.simulate.step_times import Affine

LIMITS = Limits(max_num_seqs=8, max_num_batched_tokens=100, kv_blocks=100, pages=KvPages(block_size=4))
SECOND = Affine(base_s=1.0)


def ask(number: int, arrival_s: float, prompt: int, output: int, *, prefix: int = -1, shared: int = 0) -> Request:
    return Request(number, arrival_s, prompt, output, prefix=prefix, prefix_tokens=shared)


@dataclass
class Heard:
    """What an engine told."""

    answers: list[Served] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    ramps: list[tuple[int, int, float, float]] = field(default_factory=list)

    def served(self, served: Served) -> None:
        self.answers.append(served)

    def decoded(self, sequences: int, steps: int, first_s: float, last_s: float) -> None:
        self.ramps.append((sequences, steps, first_s, last_s))

    def rejected(self, request: Request, reason: str) -> None:
        self.refusals.append((request.number, reason))

    @property
    def gaps(self) -> int:
        """Return how many tokens followed another."""
        return sum(sequences * steps for sequences, steps, _, _ in self.ramps)

    @property
    def gaps_s(self) -> float:
        """Return the sum of their gaps, which the first and the last of each ramp give."""
        return sum(sequences * steps * (first + last) / 2 for sequences, steps, first, last in self.ramps)

    def of(self, number: int) -> Served:
        """Return what became of a request."""
        return next(served for served in self.answers if served.request.number == number)


def serve(
    limits: Limits,
    step_time: StepTime,
    requests: Iterable[Request],
    *,
    leap: bool = True,
    frontend: Frontend = NO_FRONTEND,
) -> tuple[Engine, Heard]:
    """Let an engine serve requests as they come, to the last."""
    heard = Heard()
    engine = Engine(limits, step_time, heard, frontend=frontend, leap=leap)
    for request in requests:
        engine.advance(request.arrival_s)
        engine.submit(request, request.arrival_s)
    engine.advance(inf)
    return engine, heard
