"""Knative's pod autoscaler as AIBrix has it: mean concurrency over a stable window, and a short one for panic.

AIBrix, docs/source/features/autoscaling and pkg/controller/podautoscaler (August 2026): stable window 180 s, panic
window 60 s, panic from 2 times what there is, at most twice as many up or half as many down, 10 % tolerance, up
without delay, down after 300 s; never down in panic. It has no default target for requests: it is given those that
are in flight at capacity.
"""

from __future__ import annotations

import math
from collections import deque

from enova.core.backtest.laws.static import bounded
from enova.core.control.plant import Plant
from enova.core.control.sight import Sight

STABLE_S, PANIC_S = 180.0, 60.0
PANIC = 2.0
RATE = 2.0
TOLERANCE = 0.1
DOWN_S = 300.0


class Kpa:
    """Keeps the requests in flight at each replica at a target."""

    interval_s = 10.0

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._panic_until_s = -math.inf
        self._desired: deque[tuple[float, int]] = deque()

    def decide(self, sight: Sight) -> int | None:
        """Return the number for the stable window, or in panic the highest."""
        up, target = sight.up, self._plant.concurrency
        if not up:
            return bounded(1, self._plant) if sight.held else None
        stable, panic = (self._mean(sight, over_s) for over_s in (STABLE_S, PANIC_S))
        if stable is None or panic is None:
            return None
        ready = max(1, sight.ready)
        wanted, urgent = math.ceil(stable / target), math.ceil(panic / target)
        if urgent >= PANIC * ready:
            self._panic_until_s = sight.at_s + STABLE_S
        if sight.at_s < self._panic_until_s:
            wanted = max(wanted, urgent, up)
        elif abs(stable / target / up - 1) <= TOLERANCE:
            wanted = up
        wanted = bounded(min(max(wanted, math.floor(up / RATE)), math.ceil(up * RATE)), self._plant)
        self._desired.append((sight.at_s, wanted))
        while self._desired[0][0] < sight.at_s - DOWN_S:
            self._desired.popleft()
        return wanted if wanted >= up else min(up, max(desired for _, desired in self._desired))

    @staticmethod
    def _mean(sight: Sight, over_s: float) -> float | None:
        moments = sight.seen.moments(over_s)
        return sum(moment.in_flight for moment in moments) / len(moments) if moments else None
