"""The fewest GPU-seconds that would have done: schedules made by somebody who knows the traffic beforehand.

Level by level: the k-th replica is on whenever the traffic of a bin needs k. Without a start-up time that is all.
With one it has to be started that much earlier, and gaps shorter than it are not worth a stop. Levels do not
interfere, so each is the best by itself. How much of the capacity may be used is searched for: the most with which
the simulated attainment still reaches the target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from enova.core.backtest.rehearsal import INTERVAL_S, rehearse
from enova.core.backtest.scene import Scene
from enova.core.backtest.score import Score
from enova.core.control.plant import Plant
from enova.core.control.sight import Sight
from enova.core.simulate.statistics import Floats

BIN_S = 15.0
WINDOW = 2
"""Bins over whose mean the traffic of a moment is taken."""
LOADS = (1.6, 1.5, 1.4, 1.3, 1.2, 1.15, 1.1, 1.05, 1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Shares of the capacity that may be used, most first; the search halves them."""


class Schedule:
    """A law that follows a timetable."""

    interval_s = INTERVAL_S

    def __init__(self, replicas: Sequence[int], bin_s: float = BIN_S) -> None:
        """`replicas`: that are to exist in each bin, starting ones included."""
        self._replicas = replicas
        self._bin_s = bin_s

    def decide(self, sight: Sight) -> int | None:
        """Return what the timetable says."""
        place = min(int(sight.at_s / self._bin_s), len(self._replicas) - 1)
        return self._replicas[place]


def schedule_of(rates: Floats, plant: Plant, *, load: float, start_up_s: float) -> list[int]:
    """Return how many replicas are to exist in each bin of `BIN_S` for rates in requests/s, one a bin."""
    smooth = np.convolve(rates, np.ones(WINDOW) / WINDOW, "same") if len(rates) >= WINDOW else rates
    needs = np.array([_needed(plant, float(rate) / load) for rate in smooth])
    ahead = math.ceil((start_up_s + 2 * INTERVAL_S) / BIN_S) if start_up_s else 0
    exist = np.zeros(len(needs), dtype=int)
    for level in range(1, int(needs.max(initial=0)) + 1):
        on = np.flatnonzero(needs >= level)
        gaps = [(before, after) for before, after in pairwise(on) if after - before > ahead + 1]
        starts, ends = [on[0], *(after for _, after in gaps)], [*(before for before, _ in gaps), on[-1]]
        for start, end in zip(starts, ends, strict=True):
            exist[max(0, start - ahead) : end + 1] += 1
    return [int(count) for count in exist]


def oracle(scene: Scene, rates: Floats, plant: Plant, *, target: float, delayed: bool) -> Score | None:
    """Return the cheapest schedule found that reaches the target, 0 to 1; None if none of those tried does."""
    start_up_s = scene.replica.start_up_s if delayed else 0.0
    setting = replace(scene, replica=replace(scene.replica, start_up_s=start_up_s), failures_per_h=0.0, blind=())
    best: Score | None = None
    low, high = 0, len(LOADS) - 1
    while low <= high:
        middle = (low + high) // 2
        replicas = schedule_of(rates, plant, load=LOADS[middle], start_up_s=start_up_s)
        score = rehearse(replace(setting, first=max(1, replicas[0])), Schedule(replicas))
        if score.attainment >= target:
            best = score if best is None or score.gpu_h < best.gpu_h else best
            high = middle - 1
        else:
            low = middle + 1
    return best


def _needed(plant: Plant, rate: float) -> int:
    needed = max(plant.fewest if plant.idle_to_zero_s is None else 0, plant.capacity.needed(rate))
    return needed if plant.most is None else min(needed, plant.most)
