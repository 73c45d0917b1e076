"""Streaming statistics: means exactly, percentiles to half a percent, in memory that does not grow.

Values fall into buckets whose edges grow by half a percent. A bucket keeps its weight and its sum, so that the
mean of all is exact and a percentile is the mean of a bucket, at most 0.5 % from the value itself. What is added
waits in a buffer and is binned by numpy, thousands at a time.
"""

from __future__ import annotations

import math
from array import array

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GROWTH = 1.005
LOWEST = 1e-6
"""What is less falls into the first bucket: a microsecond, where values are seconds."""
HIGHEST = 1e8
BUCKETS = 2 + math.ceil(math.log(HIGHEST / LOWEST) / math.log(GROWTH))

_EDGES = np.concatenate(([-np.inf], LOWEST * GROWTH ** np.arange(BUCKETS - 1)))
"""Lower edge of each bucket."""
_ROWS = 8192
_COLUMNS = 4
_MOST_PARTS = 1 << 20


class Distribution:
    """The distribution of values >= 0, each with a weight that says how often it occurred."""

    def __init__(self) -> None:
        self._buffer = array("d")
        self._weights = np.zeros(BUCKETS)
        self._sums = np.zeros(BUCKETS)
        self._weight = 0.0
        self._highest = 0.0

    def add(self, value: float, weight: float = 1.0) -> None:
        """Add a value."""
        self.add_ramp(value, value, 1, weight)

    def add_ramp(self, first: float, last: float, steps: int, weight: float = 1.0) -> None:
        """Add `steps` values that run linearly from first to last, each with this weight."""
        self._buffer.extend((first, last, steps, weight))
        if len(self._buffer) >= _ROWS * _COLUMNS:
            self._flush()

    def add_all(self, values: Floats) -> None:
        """Add values of weight 1, all at once."""
        if len(values):
            self._count(buckets_of(values), np.ones(len(values)), values)
            self._highest = max(self._highest, float(values.max()))

    def add_ramps(self, first: Floats, last: Floats, steps: Floats, weight: Floats) -> None:
        """Add many ramps at once."""
        low, high = np.minimum(first, last), np.maximum(first, last)
        low_bucket, high_bucket = buckets_of(low), buckets_of(high)
        total = steps * weight
        flat = low_bucket == high_bucket
        self._count(low_bucket[flat], total[flat], ((low + high) / 2 * total)[flat])
        sloped = np.flatnonzero(~flat)
        spans = np.cumsum(high_bucket[sloped] - low_bucket[sloped] + 1)
        while len(sloped):
            # Ramps over many buckets become many parts, so that only so many are taken at a time.
            some = max(1, int(np.searchsorted(spans, _MOST_PARTS)))
            now, sloped, spans = sloped[:some], sloped[some:], spans[some:] - spans[some - 1]
            self._slope(low[now], high[now], steps[now], weight[now], low_bucket[now], high_bucket[now])
        self._highest = max(self._highest, float(high.max(initial=0.0)))

    def merge(self, other: Distribution) -> None:
        """Add everything that was added to another one."""
        other._flush()
        self._weights += other._weights
        self._sums += other._sums
        self._weight += other._weight
        self._highest = max(self._highest, other._highest)

    @property
    def weight(self) -> float:
        """Return the sum of the weights: how many values there are."""
        self._flush()
        return self._weight

    @property
    def mean(self) -> float:
        """Return the mean, NaN of nothing."""
        weight = self.weight
        return float(self._sums.sum()) / weight if weight else math.nan

    @property
    def highest(self) -> float:
        """Return the highest value, 0 of nothing."""
        self._flush()
        return self._highest

    def quantile(self, share: float) -> float:
        """Return the value that `share` (0 to 1) of the values do not exceed, NaN of nothing.

        Between two values it is interpolated, as numpy does by default.
        """
        weight = self.weight
        if not weight:
            return math.nan
        rank = min(max(share, 0.0), 1.0) * max(weight - 1, 0.0)
        filled = np.flatnonzero(self._weights)
        reached = np.cumsum(self._weights[filled])
        ends = np.searchsorted(reached, [math.floor(rank), min(math.floor(rank) + 1, weight - 1)], side="right")
        at = filled[np.minimum(ends, len(filled) - 1)]
        low, high = self._sums[at] / self._weights[at]
        return float(low + (high - low) * (rank - math.floor(rank)))

    def share_up_to(self, value: float) -> float:
        """Return which share of the values is at most this one, to the width of a bucket; NaN of nothing."""
        weight = self.weight
        if not weight:
            return math.nan
        logs = math.log(max(value, LOWEST * 0.5) / LOWEST) / math.log(GROWTH)
        bucket = min(max(math.floor(logs) + 1, 0), BUCKETS - 1)
        return float(self._weights[: bucket + 1].sum()) / weight

    def _flush(self) -> None:
        if self._buffer:
            rows = np.array(self._buffer).reshape(-1, _COLUMNS).T
            del self._buffer[:]
            self.add_ramps(rows[0], rows[1], rows[2], rows[3])

    def _slope(
        self, low: Floats, high: Floats, steps: Floats, weight: Floats, low_bucket: Ints, high_bucket: Ints
    ) -> None:
        """Cut ramps at the edges of the buckets they run through, and count the steps of each part."""
        spans = high_bucket - low_bucket + 1
        ends = np.cumsum(spans)
        ramp = np.repeat(np.arange(len(spans)), spans)
        part = np.arange(ends[-1]) - (ends - spans)[ramp]
        bucket = low_bucket[ramp] + part
        rise = ((high - low) / np.maximum(steps - 1, 1))[ramp]
        # The steps below a part's lower edge; those below its upper edge are the next part's.
        below = np.clip(np.ceil((_EDGES[bucket] - low[ramp]) / rise), 0, steps[ramp])
        below[part == 0] = 0
        through = np.append(below[1:], 0.0)
        through[ends - 1] = steps
        count = (through - below) * weight[ramp]
        # Step i is low + i rise, and i has the mean (below + through - 1) / 2 in this part.
        self._count(bucket, count, count * (low[ramp] + rise * (below + through - 1) / 2))

    def _count(self, buckets: Ints, weights: Floats, sums: Floats) -> None:
        self._weights += np.bincount(buckets, weights, BUCKETS)
        self._sums += np.bincount(buckets, sums, BUCKETS)
        self._weight += float(weights.sum())


def buckets_of(values: Floats) -> Ints:
    """Return the bucket each value falls into."""
    logs = np.log(np.maximum(values, LOWEST * 0.5) / LOWEST) / math.log(GROWTH)
    return np.clip(np.floor(logs) + 1, 0, BUCKETS - 1).astype(np.int64)
