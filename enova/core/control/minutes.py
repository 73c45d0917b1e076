"""Traffic minute by minute: what is kept of it, and what a forecast is made of after a restart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from enova.core.control.history import BIN_S, MOST_BINS, Floats

MINUTE_S = 60.0
_BINS = round(MINUTE_S / BIN_S)


class Minute(NamedTuple):
    """What is known of one minute of a service. Times are Unix times."""

    service: str
    at_s: float
    """When it began."""
    seconds: float
    """Of it that the counts are of; what came in the rest is not known."""
    arrived: float
    met: float | None
    """Answers that met every target; None: nobody told."""
    answered: float | None
    replicas: float
    """That served, at the last look."""

    @property
    def per_s(self) -> float:
        """Return requests/s."""
        return self.arrived / self.seconds if self.seconds > 0 else 0.0


class Ledger:
    """Adds up looks, until their minute is over."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._open: Minute | None = None

    def add(
        self, now_s: float, *, seconds: float, arrived: float, met: tuple[float, float] | None, replicas: int
    ) -> Minute | None:
        """Take in a look, at a Unix time; return the minute before if this one is not of it any more."""
        at_s = math.floor(now_s / MINUTE_S) * MINUTE_S
        over = None
        if self._open is not None and self._open.at_s != at_s:
            over, self._open = self._open, None
        before = self._open or Minute(self._service, at_s, 0.0, 0.0, None, None, 0.0)
        good, count = met or (None, None)
        self._open = Minute(
            service=self._service,
            at_s=at_s,
            seconds=before.seconds + seconds,
            arrived=before.arrived + arrived,
            met=_sum(before.met, good),
            answered=_sum(before.answered, count),
            replicas=float(replicas),
        )
        return over


def rates_of(minutes: Sequence[Minute], now_s: float) -> Floats:
    """Return requests/s in the bins of a `History` that ends at a Unix time, from the first minute on.

    What is missing between two minutes is as the one before it, and so is what is missing until now.
    """
    known = [minute for minute in minutes if minute.seconds > 0 and minute.at_s <= now_s]
    if not known:
        return np.empty(0)
    first = known[0].at_s
    count = math.ceil((now_s - first) / MINUTE_S)
    rates = np.full(max(count, 1), np.nan)
    for minute in known:
        rates[min(len(rates) - 1, round((minute.at_s - first) / MINUTE_S))] = minute.per_s
    places = np.where(np.isnan(rates), 0, np.arange(len(rates)))
    filled: Floats = rates[np.maximum.accumulate(places)]
    return np.repeat(filled, _BINS)[-MOST_BINS:]


def _sum(before: float | None, more: float | None) -> float | None:
    return before if more is None else more + (before or 0.0)
