from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enova.core.metrics.series import KEPT_S, LONGEST_GAP_S, MOST_FINE, Increase, Key, Series
from enova.core.observed import Unknown

KEY: Key = ("router", "requests")


def taken(series: Series, at_s: float, value: float) -> float | None:
    """Take in one counter, which was started anew if it is lower, and return what came."""
    counters: dict[Key, float] = {KEY: value}
    return series.add(at_s, counters, anew=series.fallen(counters)).get(KEY)


def came(series: Series, window_s: float) -> tuple[float, float]:
    increase = series.over(window_s)
    assert isinstance(increase, Increase)
    return increase.seconds, increase.counts[KEY]


def test_a_counter_grows_by_nothing_before_its_second_sample() -> None:
    series = Series()

    assert taken(series, 0.0, 100.0) is None
    assert isinstance(series.over(60.0), Unknown)
    assert taken(series, 5.0, 103.0) == 3.0
    assert came(series, 60.0) == (5.0, 3.0)


def test_a_counter_that_restarts_is_counted_from_zero() -> None:
    series = Series()
    for at_s, value in ((0.0, 100.0), (5.0, 110.0), (10.0, 4.0), (15.0, 6.0)):
        taken(series, at_s, value)

    assert came(series, 60.0) == (15.0, 16.0)
    assert came(series, 5.0) == (5.0, 2.0)


def test_counters_of_a_group_restart_together_though_one_of_them_is_higher_again() -> None:
    series = Series()
    before: dict[Key, float] = {("a", "few"): 9.0, ("a", "many"): 1.0}
    after: dict[Key, float] = {("a", "few"): 2.0, ("a", "many"): 5.0}
    series.add(0.0, before)

    assert series.fallen(after) == {"a"}
    assert series.add(5.0, after, anew=series.fallen(after)) == after


def test_a_counter_that_lags_without_a_restart_is_not_counted_twice() -> None:
    series = Series()
    for at_s, value in ((0.0, 100.0), (5.0, 99.0), (10.0, 101.0)):
        series.add(at_s, {KEY: value})

    assert came(series, 60.0) == (10.0, 1.0)


def test_a_counter_that_appears_later_began_at_zero() -> None:
    series = Series()
    series.add(0.0, {})

    assert taken(series, 5.0, 7.0) == 7.0
    assert came(series, 60.0) == (5.0, 7.0)


def test_a_restart_that_nobody_could_look_at_makes_what_came_unknown_until_the_window_has_passed_it() -> None:
    series = Series()
    taken(series, 0.0, 100.0)
    taken(series, LONGEST_GAP_S + 1, 4.0)
    taken(series, LONGEST_GAP_S + 6, 5.0)

    assert isinstance(series.over(60.0), Unknown)
    assert came(series, 5.0) == (5.0, 1.0)


def test_samples_that_are_missed_lose_nothing_of_a_process_that_lives() -> None:
    series = Series()
    taken(series, 0.0, 100.0)
    taken(series, 600.0, 400.0)

    assert came(series, 60.0) == (600.0, 300.0)


def test_a_sample_from_the_past_is_left_out() -> None:
    series = Series()
    taken(series, 10.0, 1.0)

    assert series.add(10.0, {KEY: 5.0}) == {}
    assert series.add(9.0, {KEY: 5.0}) == {}


def test_what_an_earlier_enova_saw_is_where_counting_goes_on() -> None:
    series = Series()
    series.begin({KEY: 100.0})

    assert taken(series, 0.0, 130.0) == 30.0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 40.0), st.integers(0, 50), st.booleans()), min_size=2, max_size=200),
    st.sampled_from([0.0, 5.0, 60.0, 300.0, 900.0]),
)
def test_what_came_over_a_window_is_what_truly_came_and_memory_is_bounded(
    steps: list[tuple[float, int, bool]], window_s: float
) -> None:
    """A restart is only drawn where it shows: whatever came since is less than what stood there before."""
    series, at_s, counter, came_at = Series(), 0.0, 0.0, [(0.0, 0.0)]
    taken(series, at_s, counter)
    for pause_s, requests, restarts in steps:
        at_s += pause_s
        anew = restarts and counter > requests and pause_s <= LONGEST_GAP_S
        counter = requests if anew else counter + requests
        assert taken(series, at_s, counter) == requests
        came_at.append((at_s, requests))

    increase = series.over(window_s)

    assert isinstance(increase, Increase)
    first_s = at_s - increase.seconds
    assert increase.counts[KEY] == pytest.approx(sum(n for then_s, n in came_at if then_s > first_s + 1e-9))
    assert increase.seconds >= min(window_s, at_s) - 1e-6 or at_s > KEPT_S
    assert len(list(series._samples())) <= MOST_FINE + KEPT_S / 30 + 2
