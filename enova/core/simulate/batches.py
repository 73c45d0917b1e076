"""Simulation noise by batch means: what successive stretches of one run differ by says how sure the whole is.

The method of batch means (Law and Kelton, Simulation Modeling and Analysis, ch. 9): a run is cut into some 20
batches, so long that they hardly depend on each other. The spread of their means gives that of the overall mean;
for a percentile x it is the spread of the shares of values up to x, turned back into values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from enova.core.simulate.results import LEVEL, Metric
from enova.core.simulate.statistics import Distribution


class Batch:
    """One stretch of a run: its latencies and its sums."""

    def __init__(self) -> None:
        self.latencies = {metric: Distribution() for metric in Metric}
        self.judged = 0
        """Requests counted for goodput."""
        self.good = np.zeros(3)
        """Requests that met every target: as predicted, at the high end, at the low end of the model's error."""
        self.done = np.zeros(3)
        """Requests, prompt tokens and output tokens that were done."""
        self.cached_tokens = 0.0
        """Of the prompt tokens, those found in the prefix cache."""
        self.until_s = 0.0

    def merge(self, later: Batch) -> None:
        """Add what came right after."""
        for metric, latency in self.latencies.items():
            latency.merge(later.latencies[metric])
        self.judged += later.judged
        self.good += later.good
        self.done += later.done
        self.cached_tokens += later.cached_tokens
        self.until_s = max(self.until_s, later.until_s)


class Batches:
    """Batches in the order of time. They get longer as the run does: above `MOST` they are merged in pairs."""

    MOST = 32

    def __init__(self, size: int, *, changing: bool = False) -> None:
        self.size = size
        """Requests in one batch."""
        self.changing = changing
        """Whether the traffic changes in the course of the run, so that batches differ for other reasons too."""
        self._batches: list[Batch] = [Batch()]

    def at(self, index: int) -> Batch:
        """Return the batch that the request of this index belongs to."""
        while index // self.size >= self.MOST:
            for first, second in zip(self._batches[::2], self._batches[1::2], strict=False):
                first.merge(second)
            self._batches = self._batches[::2]
            self.size *= 2
        while index // self.size >= len(self._batches):
            self._batches.append(Batch())
        return self._batches[index // self.size]

    def whole(self) -> Batch:
        """Return all batches as one."""
        whole = Batch()
        for batch in self._batches:
            whole.merge(batch)
        return whole

    def mean_margin(self, metric: Metric) -> float:
        """Return how far a latency's mean may be off, in seconds."""
        parts = [batch.latencies[metric] for batch in self._batches]
        return self._margin([part.mean for part in parts], [part.weight for part in parts])

    def share_margin(self, metric: Metric, value: float) -> float:
        """Return how far the share of latencies up to a value may be off."""
        parts = [batch.latencies[metric] for batch in self._batches]
        return self._margin([part.share_up_to(value) for part in parts], [part.weight for part in parts])

    def rate_margins(self, from_s: float) -> list[float]:
        """Return the margins of the three rates: requests, prompt tokens, output tokens per second."""
        ends = np.maximum.accumulate([from_s, *(batch.until_s for batch in self._batches)])
        spans = np.diff(ends)
        kept = [(batch, span) for batch, span in zip(self._batches, spans.tolist(), strict=True) if span > 0]
        return [
            self._margin([batch.done[column] / span for batch, span in kept], [span for _, span in kept])
            for column in range(3)
        ]

    def goodput_margin(self) -> float:
        """Return the margin of the share of requests that met every target."""
        judged = [batch for batch in self._batches if batch.judged]
        return self._margin([batch.good[0] / batch.judged for batch in judged], [batch.judged for batch in judged])

    def _margin(self, values: Sequence[float], weights: Sequence[float]) -> float:
        """Return half the width of the confidence interval of a weighted mean of batches; 0 if there is only one.

        Under changing traffic the variance comes from the differences of neighbours, which a trend hardly enters
        (von Neumann 1941), with about two thirds of the degrees of freedom.
        """
        kept = [(value, weight) for value, weight in zip(values, weights, strict=True) if weight > 0]
        if len(kept) < 2:
            return 0.0
        means, sizes = np.array(kept).T
        if self.changing:
            steps = np.diff(means) ** 2 / (1 / sizes[1:] + 1 / sizes[:-1])
            variance, freedom = steps.mean() / sizes.sum(), max(1.0, 2 * (len(kept) - 1) / 3)
        else:
            shares = sizes / sizes.sum()
            spread = np.sum(shares**2 * (means - np.sum(shares * means)) ** 2)
            variance, freedom = spread * len(kept) / (len(kept) - 1), len(kept) - 1.0
        return float(stdtrit(freedom, (1 + LEVEL) / 2) * math.sqrt(variance))
