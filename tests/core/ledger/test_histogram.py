"""A histogram tells the mean exactly, and of a percentile the bucket it is in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enova.core.ledger.histogram import Histogram
from enova.core.ledger.records import Measured

EDGES = (0.1, 0.25, 0.5, 1.0, math.inf)


def histogram(*values: float) -> Histogram:
    counts = tuple(float(sum(value <= edge for value in values)) for edge in EDGES)
    return Histogram(EDGES, counts, sum(values))


def test_the_mean_is_exact() -> None:
    assert histogram(0.2, 0.3, 0.7).mean == pytest.approx(0.4)


def test_a_percentile_is_interpolated_within_its_bucket_and_the_bucket_is_kept() -> None:
    assert histogram(*[0.05] * 50, *[0.3] * 50).quantile(0.75) == Measured(0.375, 0.25, 0.5)


def test_a_percentile_in_the_open_bucket_is_at_least_its_lower_end() -> None:
    assert histogram(0.05, 2.0, 3.0).quantile(0.95) == Measured(1.0, 1.0, math.inf)


def test_buckets_without_values_are_passed_over() -> None:
    assert histogram(0.05, 0.7).quantile(0.5) == Measured(0.1, 0.0, 0.1)
    assert histogram(0.7).quantile(0.0).low == 0.5


@given(st.lists(st.floats(0.001, 3.0), min_size=1), st.floats(0.0, 1.0))
def test_the_true_quantile_is_in_the_bucket(values: list[float], share: float) -> None:
    found = histogram(*values).quantile(share)
    truth = float(np.quantile(values, share, method="inverted_cdf"))

    assert found.low <= found.value <= found.high
    assert found.low <= truth <= found.high


def test_what_came_since_and_what_came_to_two_replicas_add_up() -> None:
    before, since = histogram(0.2, 0.3), histogram(0.7)

    difference = histogram(0.2, 0.3, 0.7) - before

    assert difference.counts == since.counts
    assert difference.mean == pytest.approx(0.7)
    assert before + since == histogram(0.2, 0.3, 0.7)


def test_histograms_with_other_buckets_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="different buckets"):
        histogram(0.2) + Histogram((math.inf,), (1.0,), 0.2)


def test_no_values_have_no_quantiles() -> None:
    with pytest.raises(ValueError, match="no values"):
        histogram().quantile(0.5)


@pytest.mark.parametrize(
    ("most", "count"), [(0.0, 0.0), (0.1, 50.0), (0.375, 75.0), (0.5, 100.0), (9.0, 100.0), (math.inf, 101.0)]
)
def test_how_many_are_within_a_limit_is_interpolated_and_the_open_bucket_is_beyond(
    most: float, count: float
) -> None:
    assert histogram(*[0.05] * 50, *[0.3] * 50, 3.0).within(most) == pytest.approx(count)
