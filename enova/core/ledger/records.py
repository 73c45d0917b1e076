"""What the history holds: forecasts that were applied, and measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from enova.core.forecast import Forecast

METRICS = "metrics"
"""Source of what replicas' own `/metrics` say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A forecast in force, from when its service was applied until another is."""

    at_s: float
    """Unix time, when it was applied."""
    service: str
    fingerprint: str
    """Of the replicas' settings; how many there are is in the forecast."""
    forecast: Forecast
    rate: float | None
    """Requests/s of the traffic it was made for; None: that has none of its own (users who wait for answers)."""


class Measured(NamedTuple):
    """One measured number, and the ends between which it is for certain."""

    value: float
    low: float
    high: float
    """As `low`, except of a percentile from a histogram: that is known to lie in its bucket, and no better."""

    @classmethod
    def exactly(cls, value: float) -> Self:
        """Return a number that is known as it is."""
        return cls(value, value, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What users of a service saw for some time, all its replicas together."""

    service: str
    fingerprint: str
    """Of the replicas that were measured; empty: nobody knows."""
    began_s: float
    """Unix time, as is its end."""
    ended_s: float
    source: str
    """`metrics`, or the name of an injection report."""
    requests: int
    """Answered in that time."""
    rate: float | None
    """Requests/s that came, answered or not; None: unknown."""
    replicas: int | None
    output_tokens: float | None = None
    """Mean of a request; None: unknown."""
    emulated: bool = False
    """Whether no model ran."""
    figures: Mapping[str, Measured]
    """By the names of Forecast.figures."""
