"""A Prometheus histogram, and what it tells of the values in it: the mean exactly, a percentile to its bucket."""

from __future__ import annotations

import math
from dataclasses import dataclass

from enova.core.ledger.records import Measured


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values were at most each edge, and the sum of all."""

    edges: tuple[float, ...]
    """Ascending; the last is infinite."""
    counts: tuple[float, ...]
    """Cumulative."""
    total: float
    """Sum of the values."""

    @property
    def count(self) -> float:
        """Return how many values there are."""
        return self.counts[-1]

    @property
    def mean(self) -> float:
        """Return the mean of at least one value."""
        return self.total / self.count

    def __add__(self, other: Histogram) -> Histogram:
        """Return both together. Different edges are a ValueError."""
        counts = tuple(a + b for (_, a), (_, b) in zip(self._cells(), other._of_like(self), strict=True))
        return Histogram(self.edges, counts, self.total + other.total)

    def __sub__(self, earlier: Histogram) -> Histogram:
        """Return what came since. Different edges are a ValueError."""
        counts = tuple(
            now - then for (_, now), (_, then) in zip(self._cells(), earlier._of_like(self), strict=True)
        )
        return Histogram(self.edges, counts, self.total - earlier.total)

    def within(self, most: float) -> float:
        """Return how many values are at most so much, interpolated within its bucket; in the last bucket, none."""
        low = below = 0.0
        for high, upto in self._cells():
            if most < high:
                return below if math.isinf(high) else below + (upto - below) * (most - low) / (high - low)
            low, below = high, upto
        return self.count

    def quantile(self, share: float) -> Measured:
        """Return a quantile of at least one value, with the ends of its bucket.

        It is interpolated, as if values were spread evenly over the bucket. In the last bucket, which is open, it
        is put to the lower end.
        """
        rank, below = share * self.count, 0.0
        low = 0.0
        for high, upto in self._cells():
            if upto >= rank and upto > below:
                inside = (rank - below) / (upto - below)
                value = low if math.isinf(high) else low + (high - low) * inside
                return Measured(value, low, high)
            low, below = high, upto
        raise ValueError("a histogram of no values has no quantiles")

    def _cells(self) -> tuple[tuple[float, float], ...]:
        return tuple(zip(self.edges, self.counts, strict=True))

    def _of_like(self, other: Histogram) -> tuple[tuple[float, float], ...]:
        if self.edges != other.edges:
            raise ValueError("the histograms have different buckets")
        return self._cells()
