"""A run over time, in intervals that double whenever there would be too many of them."""

from __future__ import annotations

import math

import numpy as np

from enova.core.simulate.results import Series
from enova.core.simulate.statistics import Floats

MOST_INTERVALS = 2048
_LOOKS, _RUNNING, _WAITING, _KV_USE, _REPLICAS, _ARRIVED, _SERVED, _TOKENS = range(8)


class Timeline:
    """Sums by interval, and the highest KV use seen."""

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.kv_use_highest = math.nan
        self._sums = np.zeros((8, MOST_INTERVALS))
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

    def served(self, arrival_s: Floats, finished_s: Floats, output_tokens: Floats) -> None:
        """Take note of requests that are done."""
        if not len(finished_s):
            return
        self._reach(float(finished_s.max()))
        came = (arrival_s / self.interval_s).astype(np.int64)
        done = (finished_s / self.interval_s).astype(np.int64)
        self._sums[_ARRIVED] += np.bincount(came, minlength=MOST_INTERVALS)
        self._sums[_SERVED] += np.bincount(done, minlength=MOST_INTERVALS)
        self._sums[_TOKENS] += np.bincount(done, output_tokens, MOST_INTERVALS)

    def kv_use_mean(self, from_s: float) -> float:
        """Return the mean KV use from a moment on, NaN if nobody looked."""
        sums = self._sums[:, int(from_s / self.interval_s) :].sum(axis=1)
        return float(sums[_KV_USE] / sums[_LOOKS]) if sums[_LOOKS] else math.nan

    def series(self) -> Series:
        """Return what there is so far."""
        sums = self._sums[:, : int(self._end_s / self.interval_s) + 1]
        looks = np.where(sums[_LOOKS] > 0, sums[_LOOKS], math.nan)
        return Series(
            interval_s=self.interval_s,
            running=sums[_RUNNING] / looks,
            waiting=sums[_WAITING] / looks,
            kv_use=sums[_KV_USE] / looks,
            replicas=sums[_REPLICAS] / looks,
            arrived=sums[_ARRIVED].copy(),
            served=sums[_SERVED].copy(),
            output_tokens=sums[_TOKENS].copy(),
        )

    def _reach(self, at_s: float) -> None:
        self._end_s = max(self._end_s, at_s)
        while at_s / self.interval_s + 1e-6 >= MOST_INTERVALS:
            self._sums = np.concatenate(
                (self._sums[:, ::2] + self._sums[:, 1::2], np.zeros((8, MOST_INTERVALS // 2))), axis=1
            )
            self.interval_s *= 2
