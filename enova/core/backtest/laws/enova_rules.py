"""The static rules of the original ENOVA: one more while requests pend, one fewer while nothing is used.

Enova-instrumentation-llmo and its scaler, 0.0.7: pending requests of at least 50 for 3 minutes add a replica; a KV
use of at most 10 % and running requests of at most 10 % of max_num_seqs for 3 minutes take one away.
"""

from __future__ import annotations

from enova.core.backtest.laws.static import bounded
from enova.core.control.plant import Plant
from enova.core.control.sight import Sight

PENDING = 50.0
IDLE = 0.1
FOR_S = 180.0


class EnovaRules:
    """Thresholds, held for three minutes."""

    interval_s = 15.0

    def __init__(self, plant: Plant, max_num_seqs: int) -> None:
        self._plant = plant
        self._most_running = IDLE * max_num_seqs
        self._scaled_s = 0.0

    def decide(self, sight: Sight) -> int | None:
        """Return one more, one fewer, or nothing."""
        moments = sight.seen.moments(FOR_S)
        if not moments or sight.at_s - self._scaled_s < FOR_S:
            return None
        if all(moment.waiting >= PENDING for moment in moments):
            self._scaled_s = sight.at_s
            return bounded(sight.up + 1, self._plant)
        idle = all(
            moment.kv_use <= IDLE and moment.running <= self._most_running * max(1, moment.ready)
            for moment in moments
        )
        if idle and sight.up > 1:
            self._scaled_s = sight.at_s
            return bounded(sight.up - 1, self._plant)
        return None
