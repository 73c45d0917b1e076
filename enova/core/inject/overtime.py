"""A run over time: what was due, sent, answered and lost in each interval, and how long answers took."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from enova.core.inject.outcome import Outcome

MOST_INTERVALS = 240
"""Then they double in length."""
FIRST_S = 1.0
GROWTH = 1.02
"""From one bucket of latencies to the next: figures over time are known to 2 %."""
LOWEST_S = 1e-5


@dataclass(slots=True)
class Interval:
    """Requests by when they were due; but sent and answered by when that was."""

    due: int = 0
    sent: int = 0
    answered: int = 0
    failed: int = 0
    output_tokens: int = 0
    ttft: Counter[int] = field(default_factory=Counter)
    """By bucket, from the schedule, as are E2E latencies, of those that were due in this interval."""
    e2e: Counter[int] = field(default_factory=Counter)

    def merge(self, later: Interval) -> None:
        """Add the interval that comes next."""
        self.due += later.due
        self.sent += later.sent
        self.answered += later.answered
        self.failed += later.failed
        self.output_tokens += later.output_tokens
        self.ttft += later.ttft
        self.e2e += later.e2e


class Overtime:
    """The intervals of a run, from its start; at most `MOST_INTERVALS` of them."""

    def __init__(self) -> None:
        self.interval_s = FIRST_S
        self.intervals: list[Interval] = []

    def add(self, outcome: Outcome) -> None:
        """Take note of a request that is done."""
        arrival_s = outcome.request.arrival_s
        if not math.isnan(outcome.last_s):
            # The latest first: intervals that double would leave the others behind.
            self._at(outcome.last_s)
        due = self._at(arrival_s)
        due.due += 1
        if outcome.failure:
            due.failed += 1
        else:
            due.ttft[_bucket(outcome.first_s - arrival_s)] += 1
            due.e2e[_bucket(outcome.last_s - arrival_s)] += 1
            answered = self._at(outcome.last_s)
            answered.answered += 1
            answered.output_tokens += outcome.output_tokens
        if not math.isnan(outcome.sent_s):
            self._at(outcome.sent_s).sent += 1

    def _at(self, at_s: float) -> Interval:
        while at_s >= self.interval_s * MOST_INTERVALS:
            for first, second in zip(self.intervals[::2], self.intervals[1::2], strict=False):
                first.merge(second)
            self.intervals = self.intervals[::2]
            self.interval_s *= 2
        index = int(at_s / self.interval_s)
        while index >= len(self.intervals):
            self.intervals.append(Interval())
        return self.intervals[index]


def quantile_of(counts: Mapping[int, int], share: float) -> float:
    """Return the latency in seconds that `share` (0 to 1) of those counted do not exceed; NaN of nothing."""
    left = share * sum(counts.values())
    for bucket in sorted(counts):
        left -= counts[bucket]
        if left <= 0:
            return float(LOWEST_S * GROWTH ** (bucket + 0.5))
    return math.nan


def _bucket(latency_s: float) -> int:
    return math.floor(math.log(max(latency_s, LOWEST_S) / LOWEST_S) / math.log(GROWTH))
