"""A fixed number of replicas, planned for the peak: what most services do."""

from __future__ import annotations

from enova.core.control.plant import Plant
from enova.core.control.sight import Sight


class Static:
    """So many, whatever comes."""

    interval_s = 60.0

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas

    def decide(self, _sight: Sight) -> int | None:
        """Return that number."""
        return self._replicas


def static_peak(plant: Plant, peak_per_s: float) -> Static:
    """Return as many as the busiest five minutes need, which nobody can know beforehand: it is told."""
    return Static(bounded(plant.capacity.needed(peak_per_s), plant))


def bounded(replicas: float, plant: Plant) -> int:
    """Return a whole number of replicas within what there may be."""
    least = max(int(replicas), plant.fewest)
    return least if plant.most is None else min(least, plant.most)
