"""Errors of predictions, one by one and in groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Comparison(NamedTuple):
    """One figure, measured and predicted, both in the same unit (`unit`: s, tokens, blocks, GiB, requests)."""

    source: str
    point: str
    """Which row or run it belongs to."""
    place: str
    """Where that is written: file:line."""
    model: str
    gpu: str
    kind: str
    """dense or moe."""
    metric: str
    unit: str
    measured: float
    predicted: float
    origin: str = ""
    """Where the step times came from; empty: no step times were needed."""
    low: float | None = None
    """Lower end of the prediction's band; None: no band is stated."""
    high: float | None = None

    @property
    def error(self) -> float:
        """Return by what share of the measured value the prediction is too high; negative: too low."""
        return self.predicted / self.measured - 1

    @property
    def covered(self) -> bool | None:
        """Return whether the band holds the measured value, None without a band."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.measured <= self.high


class Unpredicted(NamedTuple):
    """A row that no prediction could be made for."""

    source: str
    point: str
    place: str
    model: str
    gpu: str
    reason: str


@dataclass(frozen=True, slots=True)
class Score:
    """What the errors of a group amount to; all shares of the measured value, 0.1 is 10 %."""

    count: int
    median: float
    """Of absolute errors, as are mean and p90."""
    mean: float
    p90: float
    bias: float
    """Median of signed errors: above 0, predictions are mostly too high."""
    coverage: float | None
    """Share of measured values within their band, among those with a band; None: there are none."""


class Group(NamedTuple):
    """A group of comparisons: values of the fields it is grouped by, in their order."""

    by: tuple[str, ...]
    values: tuple[str, ...]
    score: Score


AGGREGATES = (("source", "metric"), ("source", "kind", "metric"))
PARTITIONS = (("source", "gpu", "metric"), ("source", "model", "metric"), ("source", "gpu", "model", "metric"))
BY = AGGREGATES + PARTITIONS
"""The groups that are shown, from coarse to fine."""


def score_of(comparisons: Sequence[Comparison]) -> Score:
    """Return the score of at least one comparison."""
    errors = np.array([comparison.error for comparison in comparisons])
    sizes = np.abs(errors)
    covered = [comparison.covered for comparison in comparisons if comparison.covered is not None]
    return Score(
        len(errors),
        float(np.median(sizes)),
        float(np.mean(sizes)),
        float(np.percentile(sizes, 90)),
        float(np.median(errors)),
        sum(covered) / len(covered) if covered else None,
    )


def groups_of(comparisons: Iterable[Comparison], by: Sequence[tuple[str, ...]] = BY) -> tuple[Group, ...]:
    """Return every group's score, in the order of `by`, each sorted by its values."""
    members: defaultdict[tuple[tuple[str, ...], tuple[str, ...]], list[Comparison]] = defaultdict(list)
    for comparison in comparisons:
        for fields in by:
            members[fields, tuple(getattr(comparison, field) for field in fields)].append(comparison)
    order = {fields: place for place, fields in enumerate(by)}
    keys = sorted(members, key=lambda key: (order[key[0]], key[1]))
    return tuple(Group(fields, values, score_of(members[fields, values])) for fields, values in keys)
