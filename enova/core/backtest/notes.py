"""What happens in a rehearsal, kept in columns: requests as they are answered, the fleet at every look.

It is both what is scored at the end and what a scaling law is shown meanwhile.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from enova.core.control.sight import Moment
from enova.core.simulate.collector import latencies_of
from enova.core.simulate.observer import Served
from enova.core.simulate.promises import Promise, targets_of
from enova.core.simulate.replica import ReplicaView, Stage
from enova.core.simulate.results import Metric
from enova.core.simulate.statistics import Floats
from enova.core.workload.request import Request

COLUMNS = 4
ARRIVAL, FIRST, FINISHED, OUTPUT = range(COLUMNS)
MEMORY_S = 3600.0
"""How far back a law may look, at least."""


class Notes:
    """Hears the fleet, and answers what was seen over the last seconds."""

    def __init__(self, promises: Sequence[Promise]) -> None:
        self.targets = targets_of(promises)
        self.rows = array("d")
        """Of every answer arrival, first token, end (in seconds) and output tokens."""
        self.unanswered: list[float] = []
        """When requests came that got no whole answer."""
        self.reasons: dict[str, int] = {}
        self._moments: deque[Moment] = deque()
        self._at_s: deque[float] = deque()
        self._arrived: deque[int] = deque()
        self._answered: deque[int] = deque()
        self._good: deque[int] = deque()
        """How many answers had met every target by each look."""

    def served(self, served: Served) -> None:
        """Take note of an answer."""
        request, _, first_s, finished_s, _, _ = served
        self.rows.extend((request[1], first_s, finished_s, request[3]))

    def decoded(self, sequences: int, steps: int, first_s: float, last_s: float) -> None:
        """Leave gaps between tokens to those who count them."""

    def rejected(self, request: Request, reason: str) -> None:
        """Take note of a request that can never run."""
        self.unanswered.append(request.arrival_s)
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def lost(self, request: Request, at_s: float, reason: str) -> None:  # noqa: ARG002 - as FleetObserver has it
        """Take note of a request that got no whole answer."""
        self.rejected(request, reason)

    def look(self, now_s: float, views: Sequence[ReplicaView], arrived: int) -> None:
        """Take note of the state of a fleet, and of how many requests have come so far."""
        ready = in_flight = running = waiting = 0
        kv_use = 0.0
        for _, stage, sent, runs, waits, use in views:
            if stage is Stage.READY:
                ready += 1
                in_flight += sent
                running += runs
                waiting += waits
                kv_use += use
        self._moments.append(Moment(now_s, ready, in_flight, running, waiting, kv_use / ready if ready else 0.0))
        self._at_s.append(now_s)
        self._arrived.append(arrived)
        before = self._answered[-1] if self._answered else 0
        self._answered.append(len(self.rows) // COLUMNS)
        good = int(good_of(self.table(before, self._answered[-1]), self.targets).sum())
        self._good.append(good + (self._good[-1] if self._good else 0))
        while self._at_s[0] < now_s - MEMORY_S:
            for column in (self._moments, self._at_s, self._arrived, self._answered, self._good):
                column.popleft()

    def arrived(self, over_s: float) -> float | None:
        """Return how many requests came to the gateway up to the last look."""
        place = self._since(over_s)
        return None if place is None else float(self._arrived[-1] - self._arrived[place])

    def finished(self, over_s: float) -> float | None:
        """Return how many requests were answered."""
        place = self._since(over_s)
        return None if place is None else float(self._answered[-1] - self._answered[place])

    def met(self, over_s: float) -> tuple[float, float] | None:
        """Return how many answers met every target, and how many there were."""
        place = self._since(over_s)
        if place is None:
            return None
        return float(self._good[-1] - self._good[place]), float(self._answered[-1] - self._answered[place])

    def latency_s(self, metric: Metric, share: float, over_s: float) -> float | None:
        """Return the seconds that this share of the answers did not exceed."""
        place = self._since(over_s)
        if place is None:
            return None
        rows = self.table(self._answered[place], self._answered[-1])
        values = latencies(rows)[metric]
        values = values[~np.isnan(values)]
        return float(np.quantile(values, share)) if len(values) else None

    def moments(self, over_s: float) -> Sequence[Moment]:
        """Return the looks at the fleet of the last seconds, oldest first."""
        if not self._at_s:
            return ()
        first = bisect_left(self._at_s, self._at_s[-1] - over_s + _ROUNDING)
        return tuple(islice(self._moments, first, None))

    def table(self, first: int = 0, last: int | None = None) -> Floats:
        """Return answers as rows, by default all of them."""
        until = None if last is None else last * COLUMNS
        return np.array(self.rows[first * COLUMNS : until]).reshape(-1, COLUMNS)

    def _since(self, over_s: float) -> int | None:
        """Return the place of the last look that is at least so old; the first where all are younger."""
        if len(self._at_s) < 2:
            return None
        return max(0, bisect_left(self._at_s, self._at_s[-1] - over_s + _ROUNDING) - 1)


_ROUNDING = 1e-6


def good_of(rows: Floats, targets_s: Mapping[Metric, float]) -> NDArray[np.bool_]:
    """Return which answers met every target."""
    found = latencies(rows)
    good = np.ones(len(rows), dtype=bool)
    for metric, target_s in targets_s.items():
        # Without a second token there is no time between tokens to be too long.
        good &= ~(found[metric] > target_s)
    return good


def latencies(rows: Floats) -> dict[Metric, Floats]:
    """Return the latencies of answers in seconds; NaN where one has none."""
    found = latencies_of(*rows.T)
    # Of one request the mean gap is known, not each of them.
    return found | {Metric.ITL: found[Metric.TPOT]}
