"""One replica of a fleet: an engine, and where it is between its start and its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import NamedTuple

from enova.core.engine.step_time import NO_FRONTEND, Frontend, StepTime
from enova.core.simulate.engine import Engine, Observer, Served
from enova.core.simulate.limits import Limits
from enova.core.workload.request import Request

REFUSED_S = 0.01
"""Until a user who was told no asks for something else; above 0, so that a load of impossible requests ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSetup:
    """All that a replica is made of; those of one fleet may differ."""

    limits: Limits
    step_time: StepTime
    frontend: Frontend = NO_FRONTEND
    start_up_s: float = 0.0
    """From being started until it gets requests, and from a failure until it does so again."""
    weight: float = 1.0
    """For policies that go by weight."""
    draws: tuple[StepTime, ...] = ()
    """Step times that may as well be the true ones, where that is known."""


class Stage(StrEnum):
    """Where a replica is in its life."""

    STARTING = "starting"
    READY = "ready"
    DOWN = "down"
    """It failed; the router notices that only by and by."""
    DRAINING = "draining"
    """It gets no requests any more, and ends when it has answered those it has."""
    STOPPED = "stopped"


class ReplicaView(NamedTuple):
    """What can be seen of a replica at one moment."""

    number: int
    stage: Stage
    in_flight: int
    """Requests the router has sent to it, not answered to the end."""
    running: int
    waiting: int
    kv_use: float
    """Share of the KV blocks in use, 0 to 1."""


class Replica:
    """A replica that was started. It observes its engine, and passes on what it sees."""

    def __init__(
        self,
        number: int,
        setup: ReplicaSetup,
        observer: Observer,
        answered: Callable[[float], None],
        *,
        started_s: float,
        leap: bool,
    ) -> None:
        self.number = number
        self.setup = setup
        self.weight = setup.weight
        self.stage = Stage.STARTING
        self.sent: set[int] = set()
        """Numbers of the requests in flight."""
        self.refused = 0
        """Attempts that failed since it was last ready."""
        self.started_s = started_s
        self.ready_s = inf
        """When it gets requests again, as far as is known."""
        self.first_ready_s = inf
        """When it got requests for the first time."""
        self.failed_s = inf
        self.stopped_s = inf
        self._observer = observer
        self._answered = answered
        # Called for every batch of tokens: nothing may stand between the engine and the observer.
        self.decoded = observer.decoded
        self.engine = Engine(setup.limits, setup.step_time, self, frontend=setup.frontend, leap=leap)

    @property
    def in_flight(self) -> int:
        """Return how many requests were sent to it and not answered to the end."""
        return len(self.sent)

    def look(self) -> ReplicaView:
        """Return what can be seen of it as of when its engine was last advanced."""
        engine = self.engine
        kv_use = engine.kv_used_blocks / max(1, self.setup.limits.kv_blocks)
        return ReplicaView(self.number, self.stage, len(self.sent), engine.running, engine.waiting, kv_use)

    def submit(self, request: Request, now_s: float) -> None:
        """Send it a request."""
        self.sent.add(request.number)
        # Advanced each time, so that the engine does not pile up what comes later.
        self.engine.advance(now_s)
        self.engine.submit(request, now_s)

    def drain(self, now_s: float) -> None:
        """Let it answer what it has, and stop then."""
        if self.stage is not Stage.STOPPED:
            self.stage = Stage.DRAINING
            self._stop_if_empty(now_s)

    def stop(self, now_s: float) -> None:
        """End it."""
        self.stage = Stage.STOPPED
        self.stopped_s = now_s

    def fail(self, now_s: float) -> tuple[list[Request], list[Request]]:
        """Let it lose everything; return the requests whose answer had not begun, and those cut in the middle."""
        begun = {number for number in self.sent if self.engine.tokens_of(number) > 0}
        evicted = self.engine.evict()
        self.sent.clear()
        self.failed_s = now_s
        return (
            [request for request in evicted if request.number not in begun],
            [request for request in evicted if request.number in begun],
        )

    def served(self, served: Served) -> None:
        """Count an answer."""
        self.sent.discard(served.request.number)
        self._observer.served(served)
        self._done(served.finished_s)

    def rejected(self, request: Request, reason: str) -> None:
        """Count a refusal, which is an answer too."""
        self.sent.discard(request.number)
        self._observer.rejected(request, reason)
        self._done(max(request.arrival_s, self.engine.now_s) + REFUSED_S)

    def _done(self, at_s: float) -> None:
        if self.stage is Stage.DRAINING:
            self._stop_if_empty(at_s)
        self._answered(at_s)

    def _stop_if_empty(self, at_s: float) -> None:
        if not self.sent:
            self.stop(at_s)
