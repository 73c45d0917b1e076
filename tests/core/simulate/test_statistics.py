"""Streaming statistics agree with numpy's on the same values, however these were added."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from enova.core.simulate.statistics import BUCKETS, Distribution

SHARES = (0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)


def added(values: NDArray[np.float64]) -> Distribution:
    made = Distribution()
    made.add_all(values)
    return made


@pytest.mark.parametrize("count", [1, 2, 10, 100_000])
def test_percentiles_are_numpys_to_half_a_percent_and_the_mean_is_exact(count: int) -> None:
    values = np.random.default_rng(1).lognormal(-1, 1.5, count)
    found = added(values)

    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert (found.weight, found.highest) == (count, values.max())
    assert [found.quantile(share) for share in SHARES] == pytest.approx(np.quantile(values, SHARES), rel=0.005)


def test_values_added_one_by_one_count_as_values_added_together() -> None:
    values = np.random.default_rng(2).exponential(0.1, 20_000)
    one_by_one = Distribution()
    for value in values.tolist():
        one_by_one.add(value)

    assert one_by_one.mean == pytest.approx(values.mean(), rel=1e-12)
    assert [one_by_one.quantile(share) for share in SHARES] == pytest.approx(
        [added(values).quantile(share) for share in SHARES], rel=1e-12
    )


def test_a_constant_has_itself_as_every_percentile() -> None:
    found = added(np.full(1000, 0.0123))

    assert [found.quantile(share) for share in SHARES] == pytest.approx([0.0123] * len(SHARES), rel=1e-12)


def test_nothing_has_no_mean_and_no_percentiles() -> None:
    found = Distribution()

    assert np.isnan([found.mean, found.quantile(0.5), found.share_up_to(1.0)]).all()
    assert (found.weight, found.highest) == (0, 0)


def test_zeros_and_giants_are_kept() -> None:
    found = added(np.array([0.0, 0.0, 0.0, 1e12]))

    assert (found.quantile(0.5), found.highest, found.mean) == (0.0, 1e12, 2.5e11)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(1e-7, 1e3), st.floats(1e-7, 1e3), st.integers(1, 300), st.integers(1, 64)).map(
            lambda ramp: ramp if ramp[2] > 1 else (ramp[0], ramp[0], 1, ramp[3])
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_ramp_counts_as_its_values_do(ramps: list[tuple[float, float, int, int]]) -> None:
    found, values = Distribution(), []
    for first, last, steps, weight in ramps:
        found.add_ramp(first, last, steps, weight)
        values += [np.repeat(np.linspace(first, last, steps), weight)]
    expected = np.concatenate(values)

    assert found.weight == len(expected)
    assert found.mean == pytest.approx(expected.mean(), rel=1e-9)
    for share in SHARES:
        # A step that falls on the edge of a bucket, but for rounding, may count in either.
        assert found.quantile(share) == pytest.approx(np.quantile(expected, share), rel=0.011, abs=1.1e-6)


def test_ramps_through_thousands_of_buckets_are_counted_to_the_last_step() -> None:
    found = Distribution()
    count = 1000
    found.add_ramps(np.full(count, 1e-5), np.full(count, 1e5), np.full(count, 50.0), np.full(count, 2.0))

    assert found.weight == count * 50 * 2
    assert found.quantile(0.5) == pytest.approx(5e4, rel=0.005)


def test_merging_is_adding_everything() -> None:
    one, other = np.random.default_rng(3).exponential(1.0, (2, 5000))
    merged = added(one)
    merged.merge(added(other))
    both = added(np.concatenate((one, other)))

    assert (merged.weight, merged.highest) == (both.weight, both.highest)
    assert merged.mean == pytest.approx(both.mean, rel=1e-12)
    assert merged.quantile(0.99) == pytest.approx(both.quantile(0.99), rel=1e-12)


def test_the_share_up_to_a_value_is_the_inverse_of_a_percentile() -> None:
    found = added(np.random.default_rng(4).exponential(1.0, 50_000))

    assert found.share_up_to(found.quantile(0.9)) == pytest.approx(0.9, abs=0.002)
    assert (found.share_up_to(0.0), found.share_up_to(1e9)) == (0.0, 1.0)


def test_memory_is_that_of_the_buckets() -> None:
    """Half a percent over 14 decades; a wider range would need more."""
    assert BUCKETS < 6500
