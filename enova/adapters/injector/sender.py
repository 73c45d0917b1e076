"""One worker's part of a load, sent when it is due whatever became of the rest, on one event loop."""

from __future__ import annotations

import asyncio
import heapq
import math
from array import array
from collections.abc import Callable, Iterator
from time import monotonic

from enova.adapters.injector.exchange import Exchange
from enova.adapters.injector.pool import Pool
from enova.core.inject.job import Job
from enova.core.inject.outcome import Failure, Outcome
from enova.core.workload.request import Request

AT_ONCE = 32
"""Requests sent before answers are looked at again: where many are due, they may not keep the loop for long."""
TICK_S = 0.001
"""What uvloop's timers can tell apart."""
CHECK_EVERY_S = 0.02
"""How exactly deadlines are kept."""

Ask = Callable[[Request], bytes]


class Sender:
    """Sends until the load is over; `done` is set once every request has an outcome. All within a running loop."""

    def __init__(self, job: Job, ask: Ask) -> None:
        self.outcomes: list[Outcome] = []
        self.gaps_s = array("d")
        """Between tokens. Both are for whoever reports to take away."""
        self.sent = 0
        self.sending = True
        """Whether requests are still to come."""
        self.emulated = False
        self.done = asyncio.Event()
        self._job, self._ask, self._began_s = job, ask, math.inf
        self._pool = Pool(job.target, self._ended)
        self._requests = _part_of(job)
        self._open: dict[Exchange, float] = {}
        """What is under way by the order of deadlines, and each one's deadline."""
        self._next: tuple[Request, bytes] | None = None
        """Made ready before it is due."""
        self._users = job.load.users
        self._free_s = _users_of(job)
        """A heap: when each user that waits for no answer will ask."""
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._prepare()

    @property
    def in_flight(self) -> int:
        """Return how many requests are under way."""
        return len(self._open)

    def start(self, began_s: float) -> None:
        """Begin at a moment of the monotonic clock: from then on the loop sends what is due."""
        self._began_s = self._pool.began_s = began_s
        self._wake(self._due_s() - self._now_s())
        self._check()

    def stop(self) -> None:
        """Send no more, and give up on what is under way."""
        self.sending = False
        for exchange in list(self._open):
            self._give_up(exchange, Failure.STOPPED)
        self._close_if_done()

    def _now_s(self) -> float:
        return monotonic() - self._began_s

    def _due_s(self) -> float:
        """Return when the next request is due; infinite while all users wait for answers."""
        if self._users is None:
            return self._next[0].arrival_s if self._next else math.inf
        return self._free_s[0] if self._free_s else math.inf

    def _tick(self) -> None:
        self._timer = None
        now_s = self._now_s()
        for _ in range(AT_ONCE):
            if not self.sending or self._due_s() > now_s:
                break
            if self._is_full() and not self._is_over(now_s):
                return
            self._send(now_s)
        if self.sending and (due_s := self._due_s()) < math.inf:
            self._wake(due_s - self._now_s())
        self._close_if_done()

    def _send(self, now_s: float) -> None:
        assert self._next is not None  # noqa: S101 - sending ends with the last one
        (request, payload), self._next = self._next, None
        if self._users is not None:
            request = request._replace(arrival_s=heapq.heappop(self._free_s))
        if self._is_over(now_s, request):
            never = math.nan
            self.outcomes.append(Outcome(request, never, never, now_s, 0, 0, Failure.NOT_SENT))
            self._free_user(now_s)
        else:
            exchange = Exchange(request, payload, self.gaps_s, stream=self._job.target.stream)
            self._open[exchange] = request.arrival_s + self._job.deadline_s
            self.sent += 1
            self._pool.ask(exchange)
        self._prepare()

    def _prepare(self) -> None:
        """Make the next request ready; there is none after the end of the load."""
        request = next(self._requests, None)
        self._next = None if request is None else (request, self._ask(request))
        self.sending = self.sending and request is not None

    def _is_full(self) -> bool:
        return self._job.in_flight is not None and len(self._open) >= self._job.in_flight

    def _is_over(self, now_s: float, request: Request | None = None) -> bool:
        """Return whether it is too late for a request; by default the next one, in an open loop."""
        if request is None:
            return self._users is None and now_s >= self._due_s() + self._job.deadline_s
        return now_s >= request.arrival_s + self._job.deadline_s

    def _ended(self, exchange: Exchange) -> None:
        """Take what became of a request."""
        if self._open.pop(exchange, None) is None or exchange.outcome is None:
            return
        self.outcomes.append(exchange.outcome)
        self.emulated = self.emulated or exchange.emulated
        self._free_user(self._now_s())
        if self.sending and (self._timer is None or self._users is not None):
            self._wake(self._due_s() - self._now_s())
        self._close_if_done()

    def _free_user(self, now_s: float) -> None:
        """Let whoever waited for an answer ask again after a while; the last one to leave ends the load."""
        if self._users is None:
            return
        free_s = now_s + self._users.think_s
        until_s = self._job.load.duration_s
        if until_s is None or free_s < until_s:
            heapq.heappush(self._free_s, free_s)
        self.sending = self.sending and bool(self._free_s or self._open)

    def _give_up(self, exchange: Exchange, failure: Failure) -> None:
        self._pool.abandon(exchange)
        exchange.fail(failure, self._now_s())
        self._ended(exchange)

    def _check(self) -> None:
        """Give up on what is not there at its deadline."""
        now_s = self._now_s()
        while self._open:
            exchange, deadline_s = next(iter(self._open.items()))
            if deadline_s > now_s:
                break
            self._give_up(exchange, Failure.TIMEOUT)
        if self._timer is None and self.sending and self._due_s() <= now_s:
            self._tick()
        if not self.done.is_set():
            self._loop.call_later(CHECK_EVERY_S, self._check)

    def _wake(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if delay_s == math.inf else self._loop.call_later(max(TICK_S, delay_s), self._tick)

    def _close_if_done(self) -> None:
        if not self.sending and not self._open and not self.done.is_set():
            self._pool.close()
            self.done.set()


def _part_of(job: Job) -> Iterator[Request]:
    """Yield the requests of the load that are this worker's."""
    for request in job.load.requests(job.requests):
        if request.number % job.workers == job.worker:
            yield request


def _users_of(job: Job) -> list[float]:
    """Return when each of this worker's users first asks: at the start."""
    users = job.load.users
    if users is None:
        return []
    return [0.0] * len(range(job.worker, users.number, job.workers))
