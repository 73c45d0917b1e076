from __future__ import annotations

import math

import numpy as np
import pytest

from enova.core.control.history import BIN_S, MOST_BINS, History, rates_of


def test_counts_become_rates_one_a_bin() -> None:
    history = History()

    ended = [history.add(10, 5.0) for _ in range(6)]

    assert ended == [False, False, True, False, False, True]
    assert history.rates().tolist() == [2.0, 2.0]


def test_what_is_not_known_within_a_bin_does_not_count_as_nothing() -> None:
    history = History()
    for count in (10, None, 10):
        history.add(count, 5.0)

    assert history.last == 2.0


@pytest.mark.parametrize("count", [None, math.nan, math.inf, -1.0])
def test_a_bin_of_which_nothing_is_known_is_as_the_one_before(count: float | None) -> None:
    history = History([3.0])
    for _ in range(3):
        history.add(count, 5.0)

    assert history.rates().tolist() == [3.0, 3.0]


def test_a_long_gap_is_as_many_bins_as_it_lasted() -> None:
    history = History()
    history.add(400, 4 * BIN_S)

    assert history.rates().tolist() == pytest.approx([400 / 4 / BIN_S] * 4)


def test_only_so_much_is_kept() -> None:
    history = History(float(number) for number in range(MOST_BINS + 9000))

    assert len(history.rates()) == MOST_BINS
    assert history.last == MOST_BINS + 8999


def test_minutes_become_bins_that_end_now_and_gaps_are_as_what_came_before() -> None:
    rates = rates_of([(0.0, 1.0), (60.0, 2.0), (240.0, 5.0)], 360.0)

    assert rates.tolist() == np.repeat([1.0, 2.0, 2.0, 2.0, 5.0, 5.0], 4).tolist()


def test_what_lies_in_the_future_is_not_known() -> None:
    assert len(rates_of([], 0.0)) == 0
    assert len(rates_of([(600.0, 3.0)], 60.0)) == 0
