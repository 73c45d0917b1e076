"""llm-d's SLO-aware KEDA law: the worse of P90 TTFT and P90 TPOT over what is promised, smoothed, into an HPA.

llm-d, guides/workload-autoscaling/README.slo-aware.md (August 2026): s = max(P90 TTFT / SLO, P90 TPOT / SLO),
clamped to 2, an exponential mean with 0.6 every 45 s; up while s exceeds 0.55, down below 0.40; replicas that are
starting are credited (ready over all); up by at most 100 % or 4 pods in 60 s, down by one pod in 120 s. llm-d
predicts the latencies of requests that come; here they are those measured over the last minute.
"""

from __future__ import annotations

import math

from enova.core.backtest.laws.static import bounded
from enova.core.control.plant import Plant
from enova.core.control.sight import Sight
from enova.core.simulate.promises import Promise, targets_of
from enova.core.simulate.results import Metric

ALPHA, EVERY_S = 0.6, 45.0
CLAMP = 2.0
UP, DOWN = 0.55, 0.40
UP_S, DOWN_S = 60.0, 120.0
MOST_PODS = 4
OVER_S = 60.0


class SloAware:
    """Keeps P90 latencies at about half of what is promised."""

    interval_s = 15.0

    def __init__(self, plant: Plant, promises: tuple[Promise, ...]) -> None:
        self._plant = plant
        self._targets_s = targets_of(promises)
        self._signal: float | None = None
        self._smoothed_s = -math.inf
        self._up_s = self._down_s = -math.inf

    def decide(self, sight: Sight) -> int | None:
        """Return what an HPA makes of the signal."""
        up = sight.up
        if not up:
            return bounded(1, self._plant) if sight.held else None
        parts = [
            latency_s / target_s
            for metric, target_s in self._targets_s.items()
            if metric in (Metric.TTFT, Metric.TPOT)
            and (latency_s := sight.seen.latency_s(metric, 0.9, OVER_S)) is not None
        ]
        if not parts:
            return None
        if sight.at_s - self._smoothed_s >= EVERY_S:
            now = min(CLAMP, max(parts))
            self._signal = now if self._signal is None else ALPHA * now + (1 - ALPHA) * self._signal
            self._smoothed_s = sight.at_s
        signal = (self._signal or 0.0) * sight.ready / up
        if signal > UP and sight.at_s - self._up_s >= UP_S:
            wanted = bounded(min(math.ceil(up * signal / UP), up + max(up, MOST_PODS)), self._plant)
            if wanted > up:
                self._up_s = sight.at_s
            return max(up, wanted)
        if signal < DOWN and sight.at_s - self._down_s >= DOWN_S:
            wanted = bounded(max(up - 1, math.ceil(up * signal / DOWN)), self._plant)
            if wanted < up:
                self._down_s = sight.at_s
            return min(up, wanted)
        return None
