"""Errors are shares of what was measured, and groups are what rows have in common."""

from __future__ import annotations

import pytest

from enova.core.accuracy.score import Comparison, groups_of, score_of


def compared(measured: float, predicted: float, **changes: object) -> Comparison:
    base = Comparison("lab", "a", "f.csv:2", "m", "g", "dense", "ttft", "s", measured, predicted)
    return base._replace(**changes)  # type: ignore[arg-type]


def test_an_error_is_signed_and_relative_to_the_measured_value() -> None:
    assert compared(2.0, 3.0).error == pytest.approx(0.5)
    assert compared(2.0, 1.0).error == pytest.approx(-0.5)


def test_a_score_tells_size_and_direction_apart() -> None:
    score = score_of([compared(1.0, 1.1), compared(1.0, 0.7), compared(1.0, 1.2)])

    assert score.count == 3
    assert score.median == pytest.approx(0.2)
    assert score.mean == pytest.approx(0.2)
    assert score.p90 == pytest.approx(0.28)
    assert score.bias == pytest.approx(0.1)
    assert score.coverage is None


def test_coverage_counts_only_values_with_a_band() -> None:
    inside, outside = compared(1.0, 1.1, low=0.9, high=1.3), compared(1.0, 1.5, low=1.2, high=2.0)

    assert (inside.covered, outside.covered, compared(1.0, 1.0).covered) == (True, False, None)
    assert score_of([inside, outside, compared(1.0, 1.0)]).coverage == pytest.approx(0.5)


def test_groups_come_from_coarse_to_fine_each_sorted() -> None:
    rows = [compared(1.0, 1.1, gpu="z"), compared(1.0, 1.3, gpu="a"), compared(1.0, 1.5, gpu="a", metric="tpot")]

    groups = groups_of(rows, by=(("metric",), ("gpu", "metric")))

    assert [(group.values, group.score.count) for group in groups] == [
        (("tpot",), 1),
        (("ttft",), 2),
        (("a", "tpot"), 1),
        (("a", "ttft"), 1),
        (("z", "ttft"), 1),
    ]
    assert groups[1].score.median == pytest.approx(0.2)
