"""NVIDIA Dynamo's planner: its load-based and its throughput-based mode.

docs/components/planner and components/src/dynamo/planner/core (August 2026). Load: every 5 s; one more if the
estimated TTFT or ITL of every engine is above what is promised; one fewer if, with the load of N shared among N-1,
they would be below 0.8 of it; nothing while a scaling is in progress. Its estimates come from a regression on the
engines' own figures; here they are the means measured over the last 30 s. Throughput: every 180 s, replicas =
ceil(predicted demand / what an engine takes), with ARIMA as default predictor: here ARIMA(1, 1, 0) by least
squares on the last 50 intervals, warmed by none. What an engine takes is what Enova's simulator says.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from enova.core.backtest.laws.static import bounded
from enova.core.control.plant import Plant
from enova.core.control.sight import Sight
from enova.core.simulate.promises import Promise, targets_of
from enova.core.simulate.replica import Stage
from enova.core.simulate.results import Metric

OVER_S = 30.0
DOWN = 0.8
INTERVALS = 50


class Load:
    """Adds one or takes one away by latency."""

    interval_s = 5.0

    def __init__(self, plant: Plant, promises: tuple[Promise, ...]) -> None:
        self._plant = plant
        self._targets_s = {m: s for m, s in targets_of(promises).items() if m in (Metric.TTFT, Metric.TPOT)}

    def decide(self, sight: Sight) -> int | None:
        """Return one more, one fewer, or nothing."""
        up = sight.up
        if not up:
            return bounded(1, self._plant) if sight.held else None
        if sight.at(Stage.STARTING) or sight.at(Stage.DRAINING):
            return None
        shares = [
            latency_s / target_s
            for metric, target_s in self._targets_s.items()
            if (latency_s := sight.seen.latency_s(metric, 0.5, OVER_S)) is not None
        ]
        if not shares:
            return None
        if max(shares) > 1:
            return bounded(up + 1, self._plant)
        if up > 1 and max(shares) * up / (up - 1) < DOWN:
            return bounded(up - 1, self._plant)
        return None


class Throughput:
    """Plans for the demand that is predicted of the next interval."""

    interval_s = 180.0

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._demand: deque[float] = deque(maxlen=INTERVALS)

    def decide(self, sight: Sight) -> int | None:
        """Return the replicas for what is predicted."""
        count = sight.seen.arrived(self.interval_s)
        if count is None:
            return None
        self._demand.append(count / self.interval_s)
        wanted = bounded(int(np.ceil(self._predicted() / self._plant.capacity.of(1) - 1e-9)), self._plant)
        return max(1, wanted)

    def _predicted(self) -> float:
        demand = np.array(self._demand)
        steps = np.diff(demand)
        if len(steps) < 4:
            return float(demand[-1])
        before, after = steps[:-1], steps[1:]
        square = float(before @ before)
        slope = float(before @ after) / square if square else 0.0
        return max(0.0, float(demand[-1] + np.clip(slope, -1.0, 1.0) * steps[-1]))
