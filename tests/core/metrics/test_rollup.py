from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enova.core.metrics import rollup
from enova.core.metrics.rollup import ARRIVED, FARTHEST_S, Book, rollup_of


def test_what_came_within_a_minute_is_of_that_minute() -> None:
    book = Book()
    book.add("chat", 65.0, 5.0, {ARRIVED: 10.0})
    book.add("chat", 70.0, 5.0, {ARRIVED: 2.0})

    assert book.rows == {("chat", 60): {ARRIVED: 12.0}}


def test_what_came_over_minutes_is_spread_evenly_over_them() -> None:
    book = Book()
    book.add("chat", 150.0, 120.0, {ARRIVED: 12.0})

    assert book.rows == {
        ("chat", 0): {ARRIVED: pytest.approx(3.0)},
        ("chat", 60): {ARRIVED: pytest.approx(6.0)},
        ("chat", 120): {ARRIVED: pytest.approx(3.0)},
    }


@settings(max_examples=40, deadline=None)
@given(
    st.floats(1.7e9, 1.9e9),
    st.one_of(st.sampled_from([0.0, 60.0, 1e9]), st.floats(0, 7200)),
    st.floats(0, 1e9),
)
def test_nothing_is_lost_or_made_by_spreading(until_s: float, length_s: float, amount: float) -> None:
    book = Book()
    book.add("chat", until_s, length_s, {ARRIVED: amount})

    assert sum(row[ARRIVED] for row in book.rows.values()) == pytest.approx(amount, rel=1e-6)
    assert all(minute_s <= until_s and minute_s % 60 == 0 for _, minute_s in book.rows)
    assert len(book.rows) <= FARTHEST_S / 60 + 1


def test_the_oldest_minutes_are_given_up_when_nothing_can_be_written_for_weeks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollup, "MOST_ROWS", 3)
    book = Book()
    for minute in range(5):
        book.add("chat", minute * 60.0 + 1, 0.0, {ARRIVED: 1.0})

    assert [minute_s for _, minute_s in sorted(book.rows)] == [120, 180, 240]


def test_what_nobody_saw_is_unknown_and_not_zero() -> None:
    nothing = rollup_of("chat", 60.0, {})

    assert (nothing.arrived, nothing.finished, nothing.replicas, nothing.gpu_use) == (None,) * 4
    assert nothing.seen_s == 0


def test_replicas_and_the_use_of_gpus_are_means_over_the_time_they_were_seen() -> None:
    amounts = {rollup.WATCHED_S: 30.0, rollup.REPLICA_S: 75.0, rollup.GPU_S: 60.0, rollup.GPU_BUSY_S: 15.0}

    one = rollup_of("chat", 60.0, amounts)

    assert (one.replicas, one.gpu_use) == (2.5, 0.25)
