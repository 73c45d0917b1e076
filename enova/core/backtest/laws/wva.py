"""The saturation law of llm-d's Workload Variant Autoscaler, before it was given up for KEDA.

Its mirror of February 2026: every 30 s, of the highest values of the last minute; a replica is saturated from a KV
use of 0.80 or a queue of 5. One more when those that are not saturated have less than 0.10 of KV or 3 of the queue
to spare in the mean; one fewer if they still had with the load shared among one fewer. Nothing while some start.
"""

from __future__ import annotations

from enova.core.backtest.laws.static import bounded
from enova.core.control.plant import Plant
from enova.core.control.sight import Sight
from enova.core.simulate.replica import Stage

KV, QUEUE = 0.80, 5.0
SPARE_KV, SPARE_QUEUE = 0.10, 3.0
PEAK_S = 60.0


class Saturation:
    """Keeps some KV cache and some of the queue to spare."""

    interval_s = 30.0

    def __init__(self, plant: Plant) -> None:
        self._plant = plant

    def decide(self, sight: Sight) -> int | None:
        """Return one more, one fewer, or nothing."""
        up = sight.up
        if not up:
            return bounded(1, self._plant) if sight.held else None
        moments = sight.seen.moments(PEAK_S)
        if sight.at(Stage.STARTING) or not moments or not sight.ready:
            return None
        kv_use = max(moment.kv_use for moment in moments)
        queue = max(moment.waiting / max(1, moment.ready) for moment in moments)
        if KV - kv_use < SPARE_KV or QUEUE - queue < SPARE_QUEUE:
            return bounded(up + 1, self._plant)
        if up > 1:
            shared = up / (up - 1)
            if KV - kv_use * shared >= SPARE_KV and QUEUE - queue * shared >= SPARE_QUEUE:
                return bounded(up - 1, self._plant)
        return None
