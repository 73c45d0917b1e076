"""A fixed number of replicas, planned for the peak: what most services do."""

from __future__ import annotations

from enova.core.control.plant import Plant
from enova.core.control.sight import Sight


class StaticPeak:
    """As many as the busiest five minutes of the traffic need, which nobody can know beforehand: it is told."""

    interval_s = 60.0

    def __init__(self, plant: Plant, peak_per_s: float) -> None:
        self._replicas = bounded(plant.capacity.needed(peak_per_s), plant)

    def decide(self, _sight: Sight) -> int | None:
        """Return that number."""
        return self._replicas


def bounded(replicas: float, plant: Plant) -> int:
    """Return a whole number of replicas within what there may be."""
    least = max(int(replicas), plant.fewest)
    return least if plant.most is None else min(least, plant.most)
