"""What traffic is to be expected when a replica that is started now serves.

Several simple forecasters look at the same history: the level of the last half minute to ten minutes, trends, the
same time of an earlier period. Each is judged by what it would have said until now, on the very history there is:
the one whose quantile would have cost least (pinball loss) speaks, and the spread of its own errors makes the
quantile. So nothing is fitted in advance, and traffic that changes its ways changes who speaks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from enova.core.control.history import BIN_S, History
from enova.core.simulate.statistics import Floats

WINDOW = 2
"""Bins over which a rate has to be held: 30 s; shorter bursts are in the capacity."""
LEVELS = (2, 8, 40)
"""Bins of which the mean is a forecast."""
TRENDS = (8, 24, 60)
"""Bins whose straight line is one."""
ANCHOR = 40
"""Bins by whose level an earlier period is scaled to now."""
JUDGED = 480
"""Bins over which forecasters are judged: two hours."""
UNJUDGED = 0.1
"""Share of the rate by which a forecast is taken to be off while it cannot be judged."""
SURPRISE = 4.0
"""Deviations of a Poisson process beyond which what came is not chance."""
FEWEST, HORIZONS = 16, 3
"""Errors that are needed to judge at all, and horizons they have to be of: errors one after another are alike."""
MOST_ABOVE = 2.0
"""Times what is expected, or comes now, that the high end is at most: a jump is no measure for the next one."""
MOST_GROWN = 3.0
"""How many times an earlier period the present one is taken to be, at most."""
MOST_TREND = 1.5
"""How many times its present level a trend is taken to reach, at most."""
DAY = round(86_400 / BIN_S)
WEEK = 7 * DAY
CYCLE = 0.5
"""Least correlation with itself at which a history is taken to repeat."""


class Forecast(NamedTuple):
    """What is expected of a moment to come, in requests/s."""

    mean: float
    high: float
    """Not exceeded with the probability that was asked for."""
    by: str
    """Which forecaster speaks."""


def forecast(history: History, horizon_s: float, quantile: float) -> Forecast:
    """Return the forecast of the rate, over `WINDOW`, that ends so many seconds from now."""
    ahead = max(1, math.ceil(horizon_s / BIN_S))
    rates = history.rates()
    if not len(rates):
        return Forecast(0.0, 0.0, "nothing is known yet")
    recent = rates[-(JUDGED + ahead + max(TRENDS)) :]
    sums = _sums(recent)
    truth = _means(sums, WINDOW)
    lately = float(recent[-WINDOW:].mean())
    best: tuple[float, Forecast] | None = None
    for name, said in _forecasters(rates, sums, ahead):
        now = max(0.0, float(said[-1]))
        scale = _scale(said)
        # What was said at the end of bin i was of bin i + ahead.
        judged = min(JUDGED, len(said) - ahead)
        spread, loss = _prior(now), math.inf
        if judged >= max(FEWEST, HORIZONS * ahead):
            before = slice(len(said) - ahead - judged, len(said) - ahead)
            errors = (truth[len(truth) - judged :] - said[before]) / scale[before]
            place = int(quantile * (judged - 1))
            raw = float(np.partition(errors, place)[place])
            off = (errors - raw) * scale[before]
            spread = _beyond_chance(raw, quantile)
            loss = float(np.maximum(quantile * off, (quantile - 1) * off).mean())
        high = min(now + spread * float(scale[-1]), MOST_ABOVE * max(now, lately))
        one = Forecast(now, max(now, high), name)
        if best is None or loss < best[0]:
            best = loss, one
    assert best is not None  # noqa: S101 - the first level always speaks
    return _surprised(best[1], rates)


def _surprised(expected: Forecast, rates: Floats) -> Forecast:
    """Return the forecast, or what came in the last bin where that is more than chance makes of the forecast."""
    last = float(rates[-1])
    chance = math.sqrt(max(expected.mean, 1 / BIN_S) / BIN_S)
    if last <= max(expected.high, expected.mean + SURPRISE * chance):
        return expected
    return Forecast(last, last, f"what came in the last {_words(1)}, beyond {expected.by}")


def _prior(rate: float) -> float:
    """Return how many Poisson deviations are added while nothing was judged yet: a tenth of the rate, and one."""
    return 1.0 + UNJUDGED * math.sqrt(rate * WINDOW * BIN_S)


def _beyond_chance(spread: float, quantile: float) -> float:
    """Return what is left of a spread without the chance that is in any Poisson process: capacity allows for that.

    Both are in deviations of such a process, and independent.
    """
    chance = NormalDist().inv_cdf(quantile)
    return math.copysign(math.sqrt(max(0.0, spread**2 - chance**2)), spread)


def _forecasters(rates: Floats, sums: Floats, ahead: int) -> Iterator[tuple[str, Floats]]:
    """Yield what each would have said at the end of every bin of late, the last of which is now."""
    bins = len(sums) - 1
    # First, as of those that were right alike the first speaks: what a quiet night cannot tell apart, the day can.
    for period in _periods(rates, ahead):
        yield f"the same time {_words(period)} ago", _earlier(rates, period, ahead, bins)
    for size in LEVELS:
        if bins >= size or size == LEVELS[0]:
            yield f"the level of {_words(size)}", _means(sums, min(size, bins))
    for size in TRENDS:
        if bins > size:
            yield f"the trend of {_words(size)}", _trends(sums, size, ahead)


def _sums(rates: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(rates)])


def _means(sums: Floats, size: int) -> Floats:
    """Return the mean of the last `size` bins at the end of each bin from the `size`-th on."""
    return (sums[size:] - sums[:-size]) / size


def _trends(sums: Floats, size: int, ahead: int) -> Floats:
    """Return the line through the last bins, `ahead` bins on; never below nothing."""
    # Slope by the difference of two halves, which are size/2 apart: nearly as sure as least squares, and cheap.
    half = size // 2
    late = _means(sums, half)[half:]
    early = _means(sums, half)[:-half]
    slope = (late - early) / half
    # A trend is taken to go on for as long again as it was seen, and no longer.
    further = (half - 1) / 2 + min(ahead, size) - (WINDOW - 1) / 2
    return np.clip(late + slope * further, 0.0, MOST_TREND * late)


def _earlier(rates: Floats, period: int, ahead: int, bins: int) -> Floats:
    """Return what came a period ago where the forecast is of, times how much more comes now than came then."""
    bins = min(bins, len(rates) - period)
    now, then = _sums(rates[-bins:]), _sums(rates[len(rates) - period - bins : len(rates) - period + ahead])
    levels, past = _means(now, ANCHOR), _means(then[: len(now)], ANCHOR)
    came = _means(then, WINDOW)[ANCHOR - WINDOW + ahead :]
    floor = 1 / (ANCHOR * BIN_S)
    said: Floats = came * np.clip((levels + floor) / (past + floor), 1 / MOST_GROWN, MOST_GROWN)
    return said


def _periods(rates: Floats, ahead: int) -> Iterator[int]:
    """Yield the periods that are worth a look: a day, a week, and that of the last two hours if they repeat."""
    for period in (DAY, WEEK, cycle_of(rates[-JUDGED:])):
        if ahead < period <= len(rates) - ANCHOR - FEWEST - ahead:
            yield period


def cycle_of(rates: Floats) -> int:
    """Return after how many bins rates repeat, 0 if they do not: the first high peak of their autocorrelation."""
    smooth = np.convolve(rates, np.ones(4) / 4, "valid") if len(rates) > 8 else rates
    count = len(smooth)
    if count < 4 * FEWEST:
        return 0
    centred = smooth - smooth.mean()
    power = np.abs(np.fft.rfft(centred, 2 * count)) ** 2
    like = np.fft.irfft(power)[: count // 2] * (count / np.arange(count, count - count // 2, -1))
    if like[0] <= 0:
        return 0
    like = like / like[0]
    below = np.flatnonzero(like < 0)
    if not len(below):
        return 0
    tail = like[below[0] :]
    if tail.max() < CYCLE:
        return 0
    # The first peak of those that are as high: the others are twice and three times as far away.
    first = int(np.argmax(tail >= 0.9 * tail.max()))
    ends = np.flatnonzero(tail[first:] < 0.9 * tail.max())
    return int(below[0]) + first + int(np.argmax(tail[first : first + int(ends[0]) if len(ends) else None]))


def _scale(said: Floats) -> Floats:
    """Return the deviation that a Poisson process of each rate has over the window."""
    window_s = WINDOW * BIN_S
    return np.sqrt(np.maximum(said, 1 / window_s) / window_s)


def _words(bins: int) -> str:
    seconds = bins * BIN_S
    if seconds >= 86_400:
        return f"{seconds / 86_400:.0f} d"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
