"""How busy the workers of a run are."""

from __future__ import annotations

import math
from collections import deque

from enova.core.inject.outcome import Batch

WINDOW_S = 5.0
"""A share of a core is taken over at least so long, or over all of a run that is shorter: a moment's work is no
limit, and the highest of many short windows would be one by chance."""


class WorkerUse:
    """The highest share of a core that any worker used while it was sending."""

    def __init__(self) -> None:
        self._looks: dict[int, deque[tuple[float, float]]] = {}
        """Of each worker the last looks: when, and the CPU time used by then."""
        self._highest = math.nan
        self._short: dict[int, float] = {}
        """Of workers that have been watched for less than a window: their share so far."""

    @property
    def highest(self) -> float:
        """Return it, NaN if nobody sent anything."""
        shares = [share for share in (self._highest, *self._short.values()) if not math.isnan(share)]
        return max(shares, default=math.nan)

    def add(self, batch: Batch) -> None:
        """Add what a worker reports, in the order of time."""
        looks = self._looks.get(batch.worker)
        if looks is None:
            looks = self._looks[batch.worker] = deque([(0.0, 0.0)])
        elif not looks:
            return
        looks.append((batch.at_s, batch.cpu_s))
        # The shortest stretch that is a window or longer.
        while len(looks) > 2 and batch.at_s - looks[1][0] >= WINDOW_S:
            looks.popleft()
        (from_s, before_s), span_s = looks[0], batch.at_s - looks[0][0]
        if span_s >= WINDOW_S:
            self._short.pop(batch.worker, None)
            share = (batch.cpu_s - before_s) / span_s
            self._highest = share if math.isnan(self._highest) else max(self._highest, share)
        elif span_s > 0 and from_s == 0:
            self._short[batch.worker] = batch.cpu_s / span_s
        if not batch.sending:
            # What a worker does while it waits for the last answers keeps no request from being sent.
            looks.clear()
