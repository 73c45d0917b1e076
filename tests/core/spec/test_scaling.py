"""How many replicas there may be, and at what times of day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from enova.core.spec.scaling import Scaling

OFFICE = {"min": 4, "begin": "08:00", "end": "18:00", "days": ["mon", "fri"], "timezone": "Europe/Berlin"}
NIGHT = {"min": 3, "begin": "22:00", "end": "02:00", "days": ["mon"]}


def fewest(moment: str, *windows: dict[str, Any]) -> int:
    scaling = Scaling.model_validate({"min": 2, "schedule": windows})
    return scaling.fewest_at(datetime.fromisoformat(moment).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("moment", "replicas"),
    [
        # 23 November 2026 is a Monday; Berlin is an hour ahead.
        ("2026-11-23T06:59", 2),
        ("2026-11-23T07:00", 4),
        ("2026-11-23T16:59", 4),
        ("2026-11-23T17:00", 2),
        ("2026-11-24T12:00", 2),
        ("2026-11-27T12:00", 4),
    ],
)
def test_a_window_holds_on_its_days_by_its_clock(moment: str, replicas: int) -> None:
    assert fewest(moment, OFFICE) == replicas


@pytest.mark.parametrize(
    ("moment", "replicas"),
    [("2026-11-23T21:59", 2), ("2026-11-23T22:00", 3), ("2026-11-24T01:59", 3), ("2026-11-24T02:00", 2),
     ("2026-11-24T23:00", 2), ("2026-11-23T01:00", 2)],
)  # fmt: skip
def test_a_window_may_end_on_the_next_day(moment: str, replicas: int) -> None:
    assert fewest(moment, NIGHT) == replicas


def test_of_windows_that_hold_at_once_the_most_counts() -> None:
    assert fewest("2026-11-23T12:00", OFFICE, OFFICE | {"min": 9}, OFFICE | {"min": 1}) == 9


def test_without_windows_it_is_min() -> None:
    assert Scaling.model_validate({"min": 5}).fewest_at(datetime(2026, 11, 23, tzinfo=UTC)) == 5


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (OFFICE | {"begin": "8:00"}, "a time of day"),
        (OFFICE | {"end": "08:00"}, "must not be `begin`"),
        (OFFICE | {"timezone": "Middle/Earth"}, "no time zone"),
        (OFFICE | {"timezone": "../etc"}, "no time zone"),
        (OFFICE | {"days": ["monday"]}, "mon"),
        (OFFICE | {"min": 99}, "must be at most max (8)"),
    ],
)
def test_a_window_that_makes_no_sense_is_an_error(window: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Scaling.model_validate({"min": 1, "max": 8, "schedule": [window]})

    assert words in str(caught.value)
