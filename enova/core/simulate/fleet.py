"""Replicas behind a router, in virtual time: start-up, failures, drains, scaling; open and closed loops.

simpy holds what happens at given times: arrivals, retries, changes of the fleet, users who think. Engines are not
in its queue. Each is advanced when somebody needs its state: the router before a choice by load, a tick that looks
at all of them, a closed loop for its next answer. So one replica in an open loop costs what its engine costs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from math import inf
from typing import Protocol

import numpy as np
import simpy

from enova.core.simulate.changes import Change, Drain, Fail, Hold, Retries, Scale, Ticks
from enova.core.simulate.engine import Observer
from enova.core.simulate.replica import REFUSED_S, Replica, ReplicaSetup, ReplicaView, Stage
from enova.core.simulate.routing import Policy, RoundRobin
from enova.core.workload.request import Request


class FleetObserver(Observer, Protocol):
    """Sees every request exactly once: served, rejected or lost; or not at all if time ran out before."""

    def lost(self, request: Request, at_s: float, reason: str) -> None:
        """Take note of a request that got no answer, or only the beginning of one."""
        ...


class Fleet:
    """Replicas that serve one load. The first ones are there from the start; others take their time to start.

    `rng` is for the pauses before retries alone; a policy that throws dice brings its own.
    """

    def __init__(
        self,
        setups: Sequence[ReplicaSetup],
        observer: FleetObserver,
        rng: np.random.Generator,
        *,
        policy: Policy | None = None,
        retries: Retries | None = None,
        changes: Iterable[Change] = (),
        ticks: Ticks | None = None,
        hold: Hold = Hold(),  # noqa: B008 - a tuple
        leap: bool = True,
    ) -> None:
        """Added replicas are like the last of `setups`, of which there is at least one. Policy: round robin."""
        self.replicas: list[Replica] = []
        """All there ever were, by number."""
        self._observer = observer
        self._rng = rng
        self._policy = policy or RoundRobin()
        self._retries = retries or Retries()
        self._leap = leap
        self._template = setups[-1]
        self._hold = hold
        self.held: dict[int, Request] = {}
        """Requests that wait at the gateway because nothing serves, by number, in the order they came."""
        self.arrived = 0
        """Requests that came to the gateway so far."""
        self._env = simpy.Environment()
        self._rotation: list[Replica] = []
        self._attempts: dict[int, int] = {}
        self._sources = 0
        self._next_of_user: Callable[[float], None] | None = None
        for setup in setups:
            self._start(setup, 0.0, ready_s=0.0)
        for change in changes:
            self.schedule(change)
        if ticks is not None:
            self._env.process(self._tick(ticks))

    def look(self) -> tuple[ReplicaView, ...]:
        """Return what can be seen of the replicas that have not stopped."""
        return tuple(replica.look() for replica in self.replicas if replica.stage is not Stage.STOPPED)

    def schedule(self, change: Change) -> None:
        """Let something happen at its time, or now if that has passed."""
        self._at(change.at_s, partial(self._change, change))

    def replica_seconds(self, until_s: float) -> float:
        """Return how long replicas have existed, added up, from the first second to this one."""
        return sum(max(0.0, min(replica.stopped_s, until_s) - replica.started_s) for replica in self.replicas)

    def serve(self, requests: Iterable[Request]) -> None:
        """Serve an open loop: requests in the order of their arrival, whatever becomes of those before."""
        self._sources += 1
        arrivals = self._env.process(self._arrivals(requests))
        while not arrivals.processed:
            self._env.step()
        self._finish()

    def serve_users(
        self,
        requests: Iterator[Request],
        users: int,
        think_s: Callable[[], float],
        *,
        ramp_s: float = 0.0,
        until_s: float = inf,
    ) -> None:
        """Serve a closed loop: each user sends a request, waits for the end of the answer, thinks, sends the next.

        Users begin one after another within `ramp_s`, and send nothing after `until_s`. A request's arrival is the
        moment it is sent.
        """

        def send(now_s: float) -> None:
            request = next(requests, None) if now_s <= until_s else None
            if request is None:
                self._sources -= 1
            else:
                self._send(request._replace(arrival_s=now_s), now_s)

        self._next_of_user = lambda now_s: self._at(now_s + think_s(), send)
        self._sources += users
        for user in range(users):
            self._at(ramp_s * user / users, send)
        self._finish()

    def _finish(self) -> None:
        """Let everything happen, in order, until nobody sends any more and all is answered."""
        env = self._env
        now_s = env.now
        while True:
            while env.peek() <= now_s:
                env.step()
            # What users do at a moment comes first: asking an engine what is next settles who is in its batch.
            due_s = min(replica.engine.next_s for replica in self.replicas)
            if due_s == inf and not self._sources:
                return
            now_s = min(due_s, env.peek())
            if due_s == now_s:
                self._advance(self.replicas, now_s)

    def _arrivals(self, requests: Iterable[Request]) -> Generator[simpy.Event]:
        env = self._env
        for request in requests:
            arrival_s = request.arrival_s
            # While nothing else is due before it, an arrival need not go through simpy's queue.
            if arrival_s >= env.peek():
                yield env.timeout(arrival_s - env.now)
            self.arrived += 1
            self._send(request, arrival_s)
        self._sources -= 1

    def _send(self, request: Request, now_s: float, attempt: int = 0) -> None:
        rotation = self._rotation
        if not rotation:
            if len(self.held) < self._hold.most:
                self._keep(request, now_s)
                return
            self._failed(request, now_s, attempt, "there was no replica")
            return
        if self._policy.load_aware:
            self._advance(rotation, now_s)
        replica = rotation[self._policy.pick(request, rotation)]
        if replica.stage is Stage.READY:
            replica.submit(request, now_s)
            return
        self._refuse(replica, 1)
        self._failed(request, now_s, attempt, "its replica was down")

    def _keep(self, request: Request, now_s: float) -> None:
        """Hold a request until a replica serves, or for as long as that is done."""

        def give_up(at_s: float) -> None:
            if self.held.pop(request.number, None) is not None:
                self._sources -= 1
                self._lose(request, at_s, "it was held for too long")

        self.held[request.number] = request
        self._sources += 1
        self._at(now_s + self._hold.for_s, give_up)

    def _failed(self, request: Request, now_s: float, attempt: int, reason: str) -> None:
        if attempt + 1 >= self._retries.attempts:
            self._lose(request, now_s, reason)
            return

        def retry(at_s: float) -> None:
            self._sources -= 1
            self._send(request, at_s, attempt + 1)

        self._sources += 1
        self._attempts[request.number] = attempt + 1
        self._at(now_s + self._retries.pause_s(attempt, self._rng.random()), retry)

    def _lose(self, request: Request, now_s: float, reason: str) -> None:
        self._attempts.pop(request.number, None)
        self._observer.lost(request, now_s, reason)
        self._answered(now_s + REFUSED_S)

    def _answered(self, at_s: float) -> None:
        if self._next_of_user is not None:
            self._next_of_user(at_s)

    def _change(self, change: Change, now_s: float) -> None:
        self._advance(self.replicas, now_s)
        match change:
            case Scale():
                self._scale(change.replicas, now_s)
            case Drain():
                self._drain(self.replicas[change.number], now_s)
            case Fail():
                self._fail(self.replicas[change.number], now_s, restarts=change.restarts)

    def _scale(self, replicas: int, now_s: float) -> None:
        stays = (Stage.STARTING, Stage.READY, Stage.DOWN)
        present = [replica for replica in self.replicas if replica.stage in stays]
        for _ in range(replicas - len(present)):
            self._start(self._template, now_s, ready_s=now_s + self._template.start_up_s)
        for replica in present[replicas:]:
            self._drain(replica, now_s)

    def _start(self, setup: ReplicaSetup, now_s: float, *, ready_s: float) -> Replica:
        number = len(self.replicas)
        replica = Replica(number, setup, self._observer, self._answered, started_s=now_s, leap=self._leap)
        self.replicas.append(replica)
        self._get_ready(replica, ready_s)
        return replica

    def _get_ready(self, replica: Replica, ready_s: float) -> None:
        replica.ready_s = ready_s
        self._at(ready_s, partial(self._ready, replica))

    def _ready(self, replica: Replica, now_s: float) -> None:
        if replica.stage in (Stage.STARTING, Stage.DOWN) and replica.ready_s == now_s:
            replica.stage = Stage.READY
            replica.refused = 0
            replica.first_ready_s = min(replica.first_ready_s, now_s)
            self._rotation = sorted({*self._rotation, replica}, key=lambda member: member.number)
            held, self.held = self.held, {}
            self._sources -= len(held)
            for request in held.values():
                self._send(request, now_s)

    def _refuse(self, replica: Replica, requests: int) -> None:
        replica.refused += requests
        if replica.refused >= self._retries.failures_until_out:
            self._take_out(replica)

    def _take_out(self, replica: Replica) -> None:
        self._rotation = [member for member in self._rotation if member is not replica]

    def _drain(self, replica: Replica, now_s: float) -> None:
        self._take_out(replica)
        replica.drain(now_s)

    def _fail(self, replica: Replica, now_s: float, *, restarts: bool) -> None:
        if replica.stage in (Stage.DOWN, Stage.STOPPED):
            return
        routed = replica.stage is Stage.READY
        unbegun, cut = replica.fail(now_s)
        if restarts and replica.stage is not Stage.DRAINING:
            replica.stage = Stage.DOWN
            self._get_ready(replica, now_s + replica.setup.start_up_s)
        else:
            replica.stop(now_s)
        if routed:
            self._refuse(replica, len(unbegun) + len(cut))
            self._at(now_s + self._retries.noticed_after_s, partial(self._notice, replica, now_s))
        for request in cut:
            if self._retries.streamed:
                self._lose(request, now_s, "its replica died while answering")
            else:
                unbegun.append(request)
        for request in unbegun:
            self._failed(request, now_s, self._attempts.pop(request.number, 0), "its replica died")

    def _notice(self, replica: Replica, failed_s: float, _: float) -> None:
        """Health checks take out a replica that has been down since then."""
        if replica.failed_s == failed_s and replica.stage is not Stage.READY:
            self._take_out(replica)

    def _tick(self, ticks: Ticks) -> Generator[simpy.Event]:
        env = self._env
        while True:
            yield env.timeout(ticks.interval_s)
            self._advance(self.replicas, env.now)
            replicas = ticks.decide(env.now, self.look())
            if replicas is not None:
                self._scale(replicas, env.now)
            if not self._sources and not any(replica.sent for replica in self.replicas):
                return

    def _at(self, at_s: float, action: Callable[[float], None]) -> None:
        """Let something happen at a time, or now if that has passed."""
        event = self._env.timeout(max(0.0, at_s - self._env.now))
        event.callbacks.append(lambda _: action(at_s))

    @staticmethod
    def _advance(replicas: Iterable[Replica], until_s: float) -> None:
        for replica in replicas:
            replica.engine.advance(until_s)
