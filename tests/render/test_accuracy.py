"""Errors as text: every row, what is not predicted, and groups without repetition."""

from __future__ import annotations

import pytest

from enova.core.accuracy.score import Comparison, Unpredicted
from enova.render.accuracy import as_text, percent, quantity

ROW = Comparison("lab", "p1", "f.csv:2", "m", "g", "dense", "ttft_mean", "s", 0.1, 0.12)


def test_a_row_has_its_place_both_values_and_a_signed_error() -> None:
    assert as_text([ROW], []).splitlines()[:2] == [
        "where    point  metric     measured  predicted   error  band",
        "f.csv:2  p1     ttft_mean    100 ms     120 ms  +20.0%",
    ]


def test_a_value_outside_its_band_is_marked() -> None:
    text = as_text([ROW._replace(low=0.11, high=0.2)], [])

    assert "110 ms to 200 ms !" in text
    assert "200 ms !" not in as_text([ROW._replace(low=0.05, high=0.2)], [])


def test_groups_of_the_very_same_rows_are_shown_once_as_the_finest() -> None:
    summary = as_text([ROW, ROW._replace(gpu="h", predicted=0.3)], [], rows=False)

    assert [line.split("  ")[0] for line in summary.splitlines()[1:]] == ["lab · m", "lab · g · m", "lab · h · m"]


def test_reasons_are_told_once_with_how_many_rows_they_hold_for() -> None:
    rows = [Unpredicted("lab", f"p{line}", f"f.csv:{line}", "m", "g", "no such GPU") for line in (2, 3, 4)]

    assert as_text([], rows).splitlines()[0] == "not predicted: f.csv:2 and 2 more: no such GPU"


def test_nothing_is_nothing() -> None:
    assert as_text([], []) == ""


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0123, "s", "12.3 ms"),
        (9.5, "s", "9,500 ms"),
        (12.345, "s", "12.35 s"),
        (29750, "blocks", "29,750 blocks"),
        (14.99, "GiB", "14.99 GiB"),
    ],
)
def test_quantities_are_short_and_have_units(value: float, unit: str, shown: str) -> None:
    assert quantity(value, unit) == shown


def test_large_shares_have_no_decimals() -> None:
    assert (percent(0.0417), percent(2.384)) == ("4.2%", "238%")
