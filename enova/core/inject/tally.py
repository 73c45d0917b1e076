"""Counts what becomes of a load while it is sent, in memory that does not grow with the number of requests."""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from enova.core.inject.counted import Counted
from enova.core.inject.measured import Lag, Measured, Tokens
from enova.core.inject.outcome import Batch, Failure, Outcome
from enova.core.inject.overtime import Overtime
from enova.core.inject.worker_use import WorkerUse
from enova.core.simulate.forecast import Conditions
from enova.core.simulate.statistics import Distribution
from enova.core.workload.arrivals import times_of
from enova.core.workload.load import Load
from enova.core.workload.sources import stream

RECENT_S = 5.0
"""What is shown while a run goes on is of the last so many seconds."""


class Schedule(NamedTuple):
    """When the requests of an open loop are due."""

    requests: int
    seconds: float
    """Until the end of the load's duration, or until the last of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoFar:
    """A run that goes on."""

    at_s: float
    sent: int
    answered: int
    failures: Counter[str]
    in_flight: int
    recent_per_s: float
    """Answers."""
    recent_ttft_p50_s: float
    """From the schedule, as is the other one; NaN if nothing was answered."""
    recent_ttft_p95_s: float
    sending: bool


class Tally:
    """Takes the reports of all workers. `conditions` say what is promised, how much is sent and what is warm-up.

    `limited`: there is a most of requests in flight.
    """

    def __init__(self, load: Load, conditions: Conditions, *, limited: bool = False) -> None:
        self._load, self._limit, self._limited = load, conditions.requests, limited
        self._warmup_s = conditions.warmup_s
        self._counted = Counted(load, conditions)
        self._early = Counted(load, replace(conditions, warmup_s=0.0)) if conditions.warmup_s else None
        """All of it, until the warm-up is over: whoever ends a run before that wants to see something too."""
        self._lag = Distribution()
        self._failures: Counter[str] = Counter()
        self._prompt, self._output, self._asked_prompt, self._asked_output = 0, 0, 0, 0
        self._answered = 0
        self._last_sent_s = 0.0
        self._latest: dict[int, Batch] = {}
        self._use = WorkerUse()
        self._emulated = False
        self._recent: deque[tuple[float, float]] = deque()
        self.overtime = Overtime()

    def add(self, batch: Batch) -> None:
        """Take note of what a worker reports."""
        self._use.add(batch)
        self._emulated = self._emulated or batch.emulated
        for outcome in batch.outcomes:
            self._outcome(outcome)
        self._counted.gaps(batch.gaps_s)
        if self._early is not None:
            self._early.gaps(batch.gaps_s)
        batch.outcomes, batch.gaps_s = [], batch.gaps_s[:0]
        self._latest[batch.worker] = batch
        while self._recent and self._recent[0][0] < self._at_s() - RECENT_S:
            self._recent.popleft()

    def so_far(self) -> SoFar:
        """Return how the run goes."""
        latencies = [latency for _, latency in self._recent]
        p50, p95 = np.quantile(latencies, (0.5, 0.95)).tolist() if latencies else (math.nan, math.nan)
        return SoFar(
            at_s=self._at_s(),
            sent=sum(batch.sent for batch in self._latest.values()),
            answered=self._answered,
            failures=self._failures,
            in_flight=sum(batch.in_flight for batch in self._latest.values()),
            recent_per_s=len(latencies) / min(RECENT_S, max(self._at_s(), 1e-9)),
            recent_ttft_p50_s=p50,
            recent_ttft_p95_s=p95,
            sending=any(batch.sending for batch in self._latest.values()),
        )

    def measured(self, *, stopped_s: float | None = None) -> Measured:
        """Return what the run came to. `stopped_s` is when it was ended by hand, in seconds from its start."""
        closed = self._load.users is not None or self._limited
        sent = sum(batch.sent for batch in self._latest.values())
        due = Schedule(sent, self._last_sent_s)
        if self._load.users is None:
            due = schedule_of(self._load, self._limit, until_s=math.inf if stopped_s is None else stopped_s)
        lag = self._lag
        early = self._early if stopped_s is not None else None
        from_schedule, from_send = (early or self._counted).results()
        return Measured(
            from_schedule=from_schedule,
            from_send=from_send,
            due=due.requests,
            sent=sent,
            schedule_s=due.seconds,
            sending_s=self._last_sent_s,
            lag=Lag(lag.quantile(0.5), lag.quantile(0.99), lag.highest if lag.weight else math.nan),
            failures=dict(sorted(self._failures.items())),
            prompt_tokens=Tokens(self._asked_prompt, self._prompt),
            output_tokens=Tokens(self._asked_output, self._output),
            cpu_share=0.0 if math.isnan(self._use.highest) else self._use.highest,
            workers=len(self._latest),
            closed=closed,
            emulated=self._emulated,
            stopped=stopped_s is not None,
        )

    def _at_s(self) -> float:
        return max((batch.at_s for batch in self._latest.values()), default=0.0)

    def _outcome(self, outcome: Outcome) -> None:
        request, sent_s = outcome.request, outcome.sent_s
        if not math.isnan(sent_s):
            self._last_sent_s = max(self._last_sent_s, sent_s)
            self._lag.add(max(0.0, sent_s - request.arrival_s))
        self.overtime.add(outcome)
        counts = [one for one in (self._counted, self._early) if one is not None]
        if outcome.failure:
            self._failures[outcome.failure] += 1
            # What was ended by hand tells nothing about the server.
            for counted in counts if outcome.failure != Failure.STOPPED else ():
                counted.failed(outcome)
            return
        self._answered += 1
        self._recent.append((outcome.last_s, outcome.first_s - request.arrival_s))
        self._asked_prompt += request.prompt_tokens if outcome.prompt_tokens else 0
        self._asked_output += request.output_tokens
        self._prompt += outcome.prompt_tokens
        self._output += outcome.output_tokens
        for counted in counts:
            counted.answered(outcome)
        if request.arrival_s >= self._warmup_s:
            self._early = None


def schedule_of(load: Load, limit: int | None, *, until_s: float = math.inf) -> Schedule:
    """Return how many requests of an open loop are due until then, and how long that takes."""
    until_s = min(until_s, math.inf if load.duration_s is None else load.duration_s)
    requests, last_s = 0, 0.0
    for times in times_of(load.arrival, stream(load.seed, "arrivals"), load.trace):
        within = int(np.searchsorted(times, until_s))
        count = within if limit is None else min(within, limit - requests)
        if count:
            last_s = float(times[count - 1])
        requests += count
        if count < len(times):
            # Either time is over, or the limit is reached before.
            return Schedule(requests, until_s if count == within else last_s)
    return Schedule(requests, until_s if math.isfinite(until_s) else last_s)
