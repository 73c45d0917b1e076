"""What is scaled: how much traffic so many replicas take, how long a new one takes, and how many there may be."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Curve:
    """Requests/s that keep every promise, by the number of replicas."""

    replicas: tuple[int, ...]
    """Ascending, at least one."""
    per_s: tuple[float, ...]
    """As many; not descending."""

    def of(self, replicas: int) -> float:
        """Return what so many take: between what is known in proportion, beyond it as the last ones do each."""
        if replicas <= 0:
            return 0.0
        place = bisect_left(self.replicas, replicas)
        if place == len(self.replicas):
            return self.per_s[-1] * replicas / self.replicas[-1]
        if self.replicas[place] == replicas or place == 0:
            return self.per_s[place] * replicas / self.replicas[place]
        low, high = self.replicas[place - 1], self.replicas[place]
        share = (replicas - low) / (high - low)
        return self.per_s[place - 1] * (1 - share) + self.per_s[place] * share

    def needed(self, per_s: float) -> int:
        """Return the fewest replicas that take a rate; where nothing can be taken, 1 for any traffic at all."""
        if per_s <= 0:
            return 0
        if self.per_s[-1] <= 0:
            return 1
        low, high = 0, max(1, math.ceil(per_s / self.per_s[-1] * self.replicas[-1]) + self.replicas[-1])
        while high - low > 1:
            middle = (low + high) // 2
            if self.of(middle) >= per_s:
                high = middle
            else:
                low = middle
        return high


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A service as its autoscaler knows it."""

    capacity: Curve
    feasible: bool = True
    """Whether the promises are kept at any rate. If not, `capacity` is what is served without them."""
    start_up_s: float
    """From the decision until a new replica serves."""
    fewest: int = 1
    """While there is traffic."""
    most: int | None = None
    """By the spec, the budget and the GPUs there are."""
    limit: str = ""
    """What sets `most`, in words: budget.gpus."""
    idle_to_zero_s: float | None = None
    """After how long without a request all replicas go; None: never."""
    target: float = 0.99
    """Share of the requests, 0 to 1, that the SLO promises to serve in time."""
    concurrency: float = 1.0
    """Requests in flight at one replica at its capacity."""
