"""How many requests came, in bins of equal length: what forecasts are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from enova.core.metrics.rollup import MINUTE_S
from enova.core.simulate.statistics import Floats

BIN_S = 15.0
DAYS = 8
"""How much is kept: a week, and the day that is compared with it."""
MOST_BINS = int(DAYS * 86_400 / BIN_S)


def rates_of(minutes: Iterable[tuple[float, float]], now_s: float) -> Floats:
    """Return requests/s in the bins of a history that ends at a Unix time, from minutes and their rates.

    What is missing between two minutes is as the one before it, and so is what is missing until now.
    """
    known = [(at_s, per_s) for at_s, per_s in minutes if at_s <= now_s]
    if not known:
        return np.empty(0)
    first_s = known[0][0]
    rates = np.full(max(1, math.ceil((now_s - first_s) / MINUTE_S)), np.nan)
    for at_s, per_s in known:
        rates[min(len(rates) - 1, round((at_s - first_s) / MINUTE_S))] = per_s
    places = np.where(np.isnan(rates), 0, np.arange(len(rates)))
    filled: Floats = rates[np.maximum.accumulate(places)]
    return np.repeat(filled, round(MINUTE_S / BIN_S))[-MOST_BINS:]


class History:
    """Rates of arrival in requests/s, one a bin. What was not seen is as the bin before: nobody knows better.

    Counts come with the length of time they are of, which need not fit the bins.
    """

    def __init__(self, rates: Iterable[float] = ()) -> None:
        """Begin with rates known from before, one a bin, the last of which ends now."""
        self._rates = np.empty(4096)
        self.bins = 0
        self._count = 0.0
        self._seen_s = 0.0
        self._passed_s = 0.0
        for rate in rates:
            self._append(rate)

    def add(self, count: float | None, over_s: float) -> bool:
        """Take in how many requests came in the last seconds, None: not known. Return whether that ended a bin."""
        self._passed_s += over_s
        if count is not None and math.isfinite(count) and count >= 0:
            self._count += count
            self._seen_s += over_s
        if self._passed_s < BIN_S - _ROUNDING:
            return False
        bins = max(1, round(self._passed_s / BIN_S))
        known = self._seen_s > 0
        rate = self._count / self._seen_s if known else self.last
        for _ in range(min(bins, MOST_BINS)):
            self._append(rate)
        self._count = self._seen_s = self._passed_s = 0.0
        return True

    @property
    def last(self) -> float:
        """Return the rate of the last bin, 0 where there is none."""
        return float(self._rates[self.bins - 1]) if self.bins else 0.0

    def rates(self, most: int = MOST_BINS) -> Floats:
        """Return the rates of the last bins, oldest first."""
        return self._rates[max(0, self.bins - most) : self.bins]

    def _append(self, rate: float) -> None:
        if self.bins == len(self._rates):
            kept = self.rates(MOST_BINS)
            self._rates = np.concatenate([kept, np.empty(max(4096, len(kept)))])
            self.bins = len(kept)
        self._rates[self.bins] = rate
        self.bins += 1


_ROUNDING = 1e-6
