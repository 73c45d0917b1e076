"""A run over time, in intervals that double whenever there would be too many of them."""

from __future__ import annotations

import math

import numpy as np

from enova.core.simulate.results import Series
from enova.core.simulate.statistics import Floats

MOST_INTERVALS = 2048
FEWEST_INTERVALS = 20
"""A window of fewer says nothing about a rate."""
_LOOKS, _RUNNING, _WAITING, _KV_USE, _REPLICAS, _ARRIVED, _SERVED, _PROMPT = range(8)
_SPREAD_SERVED, _SPREAD_OUTPUT = range(2)


class Timeline:
    """Sums by interval, and the highest KV use seen.

    An answer is made little by little, from its first token to its last, and counts so: what is under way when a
    window begins or ends counts for the part that lies within. That is kept as rates that begin and end.
    """

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.kv_use_highest = math.nan
        self.last_arrival_s = 0.0
        self._sums = np.zeros((8, MOST_INTERVALS))
        self._made = np.zeros((2, MOST_INTERVALS))
        """Of requests and output tokens, what is made within the very intervals that rates begin and end in."""
        self._rates = np.zeros((2, MOST_INTERVALS))
        """By how much rates per second change in an interval, with effect from the next one on."""
        self._end_s = 0.0

    def look(self, now_s: float, *, running: int, waiting: int, kv_use: float, replicas: int) -> None:
        """Take note of the state of the fleet at one moment."""
        self._reach(now_s)
        # Looks come at multiples of the interval, which rounding must not put into the one before.
        column = self._sums[:, int(now_s / self.interval_s + 1e-6)]
        column[: _REPLICAS + 1] += (1, running, waiting, kv_use, replicas)

    def crowded(self, kv_use: float) -> None:
        """Take note of the KV use of one replica."""
        self.kv_use_highest = kv_use if math.isnan(self.kv_use_highest) else max(self.kv_use_highest, kv_use)

    def served(
        self, arrival_s: Floats, first_token_s: Floats, finished_s: Floats, prompt: Floats, output: Floats
    ) -> None:
        """Take note of requests that are done: their times, and their tokens."""
        if not len(finished_s):
            return
        self._reach(float(finished_s.max()))
        self.last_arrival_s = max(self.last_arrival_s, float(arrival_s.max()))
        for row, times, weights in (
            (_ARRIVED, arrival_s, None),
            (_SERVED, finished_s, None),
            (_PROMPT, first_token_s, prompt),
        ):
            self._sums[row] += np.bincount(self._slots(times), weights, MOST_INTERVALS)
        ones = np.ones(len(finished_s))
        for row, amounts in ((_SPREAD_SERVED, ones), (_SPREAD_OUTPUT, output)):
            self._spread(row, first_token_s, finished_s, amounts)

    def kv_use_mean(self, from_s: float) -> float:
        """Return the mean KV use from a moment on, NaN if nobody looked."""
        sums = self._sums[:, int(from_s / self.interval_s) :].sum(axis=1)
        return float(sums[_KV_USE] / sums[_LOOKS]) if sums[_LOOKS] else math.nan

    def rates(self, from_s: float, until_s: float) -> Floats | None:
        """Return requests, prompt and output tokens a second between two moments; None if these are too close."""
        first, last = math.ceil(from_s / self.interval_s), math.floor(until_s / self.interval_s)
        if last - first < FEWEST_INTERVALS:
            return None
        served, output = self._by_interval()[:, first:last].sum(axis=1)
        amounts = np.array([served, self._sums[_PROMPT, first:last].sum(), output])
        return amounts / ((last - first) * self.interval_s)

    def series(self) -> Series:
        """Return what there is so far."""
        end = int(self._end_s / self.interval_s) + 1
        sums = self._sums[:, :end]
        looks = np.where(sums[_LOOKS] > 0, sums[_LOOKS], math.nan)
        return Series(
            interval_s=self.interval_s,
            running=sums[_RUNNING] / looks,
            waiting=sums[_WAITING] / looks,
            kv_use=sums[_KV_USE] / looks,
            replicas=sums[_REPLICAS] / looks,
            arrived=sums[_ARRIVED].copy(),
            served=sums[_SERVED].copy(),
            output_tokens=self._by_interval()[_SPREAD_OUTPUT, :end],
        )

    def _spread(self, row: int, first_s: Floats, last_s: Floats, amounts: Floats) -> None:
        """Count what is made at a steady rate between two moments, or all at once where they are the same."""
        spans = last_s - first_s
        at_once = spans <= 0
        self._made[row] += np.bincount(self._slots(first_s[at_once]), amounts[at_once], MOST_INTERVALS)
        rates = amounts[~at_once] / spans[~at_once]
        for times, signed in ((first_s[~at_once], rates), (last_s[~at_once], -rates)):
            slots = self._slots(times)
            left_s = (slots + 1) * self.interval_s - times
            self._made[row] += np.bincount(slots, signed * left_s, MOST_INTERVALS)
            self._rates[row] += np.bincount(slots, signed, MOST_INTERVALS)

    def _by_interval(self) -> Floats:
        """Return what was made in each interval: where rates change, and at the rates that hold from before."""
        held = np.cumsum(self._rates, axis=1) - self._rates
        made: Floats = np.maximum(self._made + held * self.interval_s, 0.0)
        return made

    def _slots(self, times: Floats) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return (times / self.interval_s).astype(np.int64)

    def _reach(self, at_s: float) -> None:
        self._end_s = max(self._end_s, at_s)
        while at_s / self.interval_s + 1e-6 >= MOST_INTERVALS:
            # In the second of two intervals, what changed in the first holds all the time.
            self._made[:, 1::2] += self._rates[:, ::2] * self.interval_s
            self._sums, self._made, self._rates = (_folded(sums) for sums in (self._sums, self._made, self._rates))
            self.interval_s *= 2


def _folded(sums: Floats) -> Floats:
    """Return sums over pairs of intervals, and as many empty intervals behind them."""
    pairs = sums[:, ::2] + sums[:, 1::2]
    return np.concatenate((pairs, np.zeros_like(pairs)), axis=1)
