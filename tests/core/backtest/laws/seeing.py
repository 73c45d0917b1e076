"""Sights for laws: what a test says was measured, whatever the time asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from enova.core.control.plant import Curve, Plant
from enova.core.control.sight import Law, Moment, Sight
from enova.core.simulate.results import Metric
from tests.core.control.seeing import replicas

PLANT = Plant(capacity=Curve((1, 2), (10.0, 20.0)), start_up_s=60.0, concurrency=8.0)


@dataclass(frozen=True, slots=True)
class Told:
    """Figures; None is not known."""

    per_s: float | None = 0.0
    in_flight: float | None = None
    waiting: float = 0.0
    kv_use: float = 0.2
    latencies_s: Mapping[Metric, float] = field(default_factory=dict)
    ready: int = 1

    def arrived(self, over_s: float) -> float | None:
        return None if self.per_s is None else self.per_s * over_s

    def finished(self, over_s: float) -> float | None:
        return self.arrived(over_s)

    def met(self, _over_s: float) -> tuple[float, float] | None:
        return None

    def latency_s(self, metric: Metric, _share: float, _over_s: float) -> float | None:
        return self.latencies_s.get(metric)

    def moments(self, _over_s: float) -> Sequence[Moment]:
        if self.in_flight is None:
            return ()
        running = self.in_flight - self.waiting
        return (Moment(0.0, self.ready, self.in_flight, running, self.waiting, self.kv_use),)


def asked(law: Law, told: Told, ready: int, *, starting: int = 0, at_s: float = 0.0, held: int = 0) -> int:
    """Return how many replicas there are after a law was asked once."""
    sight = Sight(at_s=at_s, replicas=replicas(ready, starting), held=held, seen=told)
    wanted = law.decide(sight)
    return sight.up if wanted is None else wanted


def lasting(law: Law, told: Told, ready: int, seconds: float) -> list[int]:
    """Return how many replicas there are each time a law is asked, all of which serve at once."""
    found = []
    at_s = 0.0
    while at_s < seconds:
        at_s += law.interval_s
        ready = asked(law, told, ready, at_s=at_s)
        found.append(ready)
    return found
