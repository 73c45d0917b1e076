"""Sights that a test makes up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enova.core.control.plant import Curve, Plant
from enova.core.control.sight import Moment, ReplicaSight, Sight
from enova.core.simulate.replica import Stage
from enova.core.simulate.results import Metric

PLANT = Plant(capacity=Curve((1, 2), (10.0, 20.0)), start_up_s=60.0)
"""Each replica takes 10 requests/s, and starts in a minute."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was measured, as it is told."""

    per_s: float | None = 0.0
    good: tuple[float, float] | None = None
    count: float | None = None

    def arrived(self, over_s: float) -> float | None:
        return self.count if self.count is not None else None if self.per_s is None else self.per_s * over_s

    def finished(self, over_s: float) -> float | None:
        return self.arrived(over_s)

    def met(self, over_s: float) -> tuple[float, float] | None:
        return self.good

    def latency_s(self, metric: Metric, share: float, over_s: float) -> float | None:
        return None

    def moments(self, over_s: float) -> Sequence[Moment]:
        return ()


def replicas(
    ready: int, starting: int = 0, *, waiting: float | None = 0.0, in_flight: float | None = 1.0
) -> tuple[ReplicaSight, ...]:
    stages = [Stage.READY] * ready + [Stage.STARTING] * starting
    return tuple(
        ReplicaSight(number, stage, in_flight, in_flight, waiting, 0.1) for number, stage in enumerate(stages)
    )


def sight(at_s: float, seen: tuple[ReplicaSight, ...], told: Told | None = None, held: int = 0) -> Sight:
    return Sight(at_s=at_s, replicas=seen, held=held, seen=told or Told())
