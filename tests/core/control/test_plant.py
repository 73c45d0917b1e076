from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enova.core.control.plant import Curve

POOLED = Curve((1, 2, 4), (2.0, 5.0, 12.0))


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    replicas = sorted(draw(st.sets(st.integers(1, 20), min_size=1, max_size=4)))
    rates = st.just(0.0) | st.floats(0.01, 100)
    per_s = sorted(draw(st.lists(rates, min_size=len(replicas), max_size=len(replicas))))
    return Curve(tuple(replicas), tuple(per_s))


@pytest.mark.parametrize(
    ("replicas", "per_s"), [(1, 2.0), (2, 5.0), (3, 8.5), (4, 12.0), (8, 24.0), (0, 0.0), (-1, 0.0)]
)
def test_between_what_is_known_and_beyond_it_is_in_proportion(replicas: int, per_s: float) -> None:
    assert POOLED.of(replicas) == pytest.approx(per_s)


def test_fewer_than_what_is_known_take_their_share() -> None:
    assert Curve((4,), (12.0,)).of(1) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("per_s", "replicas"), [(-1.0, 0), (0.0, 0), (0.1, 1), (2.0, 1), (2.1, 2), (8.6, 4), (24.1, 9)]
)
def test_as_few_as_take_a_rate_are_needed(per_s: float, replicas: int) -> None:
    assert POOLED.needed(per_s) == replicas


def test_where_nothing_can_be_taken_one_serves_what_it_can() -> None:
    assert Curve((1, 2), (0.0, 0.0)).needed(5.0) == 1


@given(curve=curves(), per_s=st.floats(1e-3, 1e4))
def test_what_is_needed_takes_the_rate_and_one_fewer_does_not(curve: Curve, per_s: float) -> None:
    needed = curve.needed(per_s)

    if curve.per_s[-1] > 0:
        assert curve.of(needed) >= per_s
        assert curve.of(needed - 1) < per_s


@given(curve=curves(), replicas=st.integers(0, 50))
def test_more_replicas_never_take_less(curve: Curve, replicas: int) -> None:
    assert curve.of(replicas + 1) >= curve.of(replicas) * (1 - 1e-12)
