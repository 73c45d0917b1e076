"""How many replicas there may be, when, and who decides."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, Strict, model_validator

from enova.core.spec.fault import Fault, raise_all
from enova.core.spec.fields import Matching, PositiveDuration, Section, Word, key

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TimeOfDay = Annotated[
    str,
    Matching(
        r"^(?:[01]\d|2[0-3]):[0-5]\d$", "a time of day from 00:00 to 23:59, in quotes", 'for example "08:30"'
    ),
]


class Window(Section):
    """A time of day with more replicas at least."""

    min: Annotated[int, Field(ge=1, le=10_000)] = key("Fewest replicas in this time.", 4, ...)
    begin: TimeOfDay = key("When it begins.", "08:00", ...)
    end: TimeOfDay = key("When it ends; before `begin`, that is on the next day.", "18:00", ...)
    days: Annotated[tuple[Day, ...], Strict(strict=False)] = key(
        "Days on which it begins. Default: all.", ["mon", "fri"], DAYS, min_length=1, max_length=7
    )
    timezone: Word = key("Whose clock, by its IANA name.", "Europe/Berlin", "UTC")

    @model_validator(mode="after")
    def _is_one(self) -> Window:
        if self.begin == self.end:
            raise Fault("must not be `begin`", hint="a window of 00:00 to 23:59 is all day", path=("end",))
        if _zone(self.timezone) is None:
            hint = "an IANA name such as Europe/Berlin or UTC"
            raise Fault(f"{self.timezone} is no time zone that is known here", hint=hint, path=("timezone",))
        return self

    def holds(self, moment: datetime) -> bool:
        """Tell whether a moment, which knows its time zone, is within."""
        there = moment.astimezone(_zone(self.timezone))
        now = f"{there:%H:%M}"
        if self.begin < self.end:
            return self.begin <= now < self.end and DAYS[there.weekday()] in self.days
        began = there if now >= self.begin else there - timedelta(days=1)
        return (now >= self.begin or now < self.end) and DAYS[began.weekday()] in self.days


@cache
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


class Scaling(Section):
    """How many replicas there may be."""

    min: Annotated[int, Field(ge=1, le=10_000)] = key(
        "Fewest replicas while there is traffic; none at all is `idle_to_zero` or `suspend`.", 2, 1
    )
    max: Annotated[int, Field(ge=1, le=10_000)] | None = key("Most replicas.", 8)
    mode: Literal["off", "advisory", "auto"] = key(
        "Whether the number follows the traffic while `enova watch` runs: `off` keeps it as planned, `advisory` "
        "only says what it would do, `auto` does it.",
        "auto",
        "off",
    )
    schedule: Annotated[tuple[Window, ...], Strict(strict=False)] = key(
        "Times of day with more replicas at least; of several that hold at once, the most.",
        [{"min": 4, "begin": "08:00", "end": "18:00", "days": ["mon", "tue", "wed", "thu", "fri"]}],
        (),
        min_length=1,
        max_length=100,
    )
    idle_to_zero: PositiveDuration | None = key("Stop all replicas after this long without a request.", "30m")

    @model_validator(mode="after")
    def _in_order(self) -> Scaling:
        if self.max is not None and self.max < self.min:
            raise Fault(f"must be at least min ({self.min})", path=("max",))
        raise_all(
            [
                Fault(f"must be at most max ({self.max})", path=("schedule", place, "min"))
                for place, window in enumerate(self.schedule)
                if self.max is not None and window.min > self.max
            ]
        )
        return self

    def fewest_at(self, moment: datetime) -> int:
        """Return the fewest replicas at a moment, which knows its time zone."""
        return max([self.min, *(window.min for window in self.schedule if window.holds(moment))])
