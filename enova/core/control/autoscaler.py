"""Enova's own law: the traffic that is remembered, what is expected of it, and the decision."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from enova.core.control.arrivals import Forecast, forecast
from enova.core.control.decision import Decision, Memory, believable, decide
from enova.core.control.history import BIN_S, History
from enova.core.control.plant import Plant
from enova.core.control.sight import Sight
from enova.core.simulate.replica import Stage

QUANTILE = 0.6
"""Of the forecast that replicas are to be enough for. Capacity leaves room for chance, and how much of it may be
used follows from whether the SLO is kept."""
BURN_S = 1800.0
"""Over which it is seen whether the SLO is kept."""
FEWEST_ANSWERS = 100
DECISIONS = 1000
"""That are remembered."""


class Autoscaler:
    """Decides on the number of replicas, look after look."""

    interval_s = 5.0

    def __init__(self, plant: Plant | Callable[[float], Plant], *, history: History | None = None) -> None:
        """`plant` may change with time; `history` is the traffic known from before."""
        self._plant = plant if callable(plant) else lambda _: plant
        self._history = history or History()
        self._memory = Memory()
        self._looked_s: float | None = None
        self._forecasts: tuple[Forecast, Forecast] | None = None
        self.decision: Decision | None = None
        """The last one."""
        self.decisions: deque[Decision] = deque(maxlen=DECISIONS)
        """The last ones that changed something, or gave another reason than the one before."""

    def decide(self, sight: Sight) -> int | None:
        """Return how many replicas there are to be; None: as it is."""
        plant = self._plant(sight.at_s)
        over_s = self.interval_s if self._looked_s is None else max(0.0, sight.at_s - self._looked_s)
        self._looked_s = sight.at_s
        count = believable(sight.seen.arrived(over_s))
        ended = self._history.add(count, over_s)
        if count is not None and (ended or self._forecasts is None) and self._history.bins:
            self._forecasts = (
                forecast(self._history, BIN_S, QUANTILE),
                forecast(self._history, plant.start_up_s + self.interval_s, QUANTILE),
            )
        now, then = self._forecasts if self._forecasts and count is not None else (None, None)
        burn = self._burn(sight, plant)
        busy = count is None or count > 0 or sight.held > 0 or _at_work(sight)
        decision, self._memory = decide(
            sight, now=now, then=then, burn=burn, busy=busy, plant=plant, memory=self._memory
        )
        self._keep(decision)
        self.decision = decision
        return None if decision.replicas == decision.up else decision.replicas

    def _burn(self, sight: Sight, plant: Plant) -> float | None:
        met = sight.seen.met(BURN_S)
        if met is None or met[1] < FEWEST_ANSWERS or plant.target >= 1:
            return None
        return (1 - met[0] / met[1]) / (1 - plant.target)

    def _keep(self, decision: Decision) -> None:
        last = self.decisions[-1] if self.decisions else None
        if last is None or decision.replicas != decision.up or decision.infeasible != last.infeasible:
            self.decisions.append(decision)


def _at_work(sight: Sight) -> bool:
    """Tell whether any replica answers something, or nobody knows."""
    serving = (*sight.at(Stage.READY), *sight.at(Stage.DRAINING))
    return any(replica.in_flight is None or replica.in_flight > 0 for replica in serving)
