"""Requests/s over a target for each replica: dstack and SkyServe.

dstack, server/services/services/autoscalers.py (August 2026): requests of the last 60 s, counted when they are
answered; up 300 s and down 600 s after the last scaling; the first replica at once. SkyServe,
sky/serve/constants.py: requests of the last 60 s as they come, decided every 20 s; up after 300 s and down after
1200 s of wanting it. Neither has a default target: it is what a replica takes.
"""

from __future__ import annotations

import math

from enova.core.backtest.laws.static import bounded
from enova.core.control.plant import Plant
from enova.core.control.sight import Sight

WINDOW_S = 60.0


class Dstack:
    """Scales by answers a second."""

    interval_s = 10.0
    UP_S, DOWN_S = 300.0, 600.0

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._scaled_s = 0.0

    def decide(self, sight: Sight) -> int | None:
        """Return ceil(rps / target), once the delay since the last scaling is over."""
        up = sight.up
        if not up and sight.held:
            self._scaled_s = sight.at_s
            return bounded(1, self._plant)
        count = sight.seen.finished(WINDOW_S)
        if count is None:
            return None
        wanted = bounded(math.ceil(count / WINDOW_S / self._plant.capacity.of(1) - 1e-9), self._plant)
        since_s = sight.at_s - self._scaled_s
        if (wanted > up and since_s >= self.UP_S) or (wanted < up and since_s >= self.DOWN_S):
            self._scaled_s = sight.at_s
            return wanted
        return None


class SkyServe:
    """Scales by requests a second, after wanting to for a while."""

    interval_s = 20.0
    UP_S, DOWN_S = 300.0, 1200.0

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._up_looks = self._down_looks = 0

    def decide(self, sight: Sight) -> int | None:
        """Return ceil(qps / target) when it was on the same side for as many looks as the delay has."""
        count, up = sight.seen.arrived(WINDOW_S), sight.up
        if not up and sight.held:
            return bounded(1, self._plant)
        if count is None:
            return None
        wanted = bounded(math.ceil(count / WINDOW_S / self._plant.capacity.of(1) - 1e-9), self._plant)
        self._up_looks = self._up_looks + 1 if wanted > up else 0
        self._down_looks = self._down_looks + 1 if wanted < up else 0
        if self._up_looks * self.interval_s >= self.UP_S or self._down_looks * self.interval_s >= self.DOWN_S:
            self._up_looks = self._down_looks = 0
            return wanted
        return None
