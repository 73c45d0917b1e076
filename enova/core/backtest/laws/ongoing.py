"""Ongoing requests over a target for each replica: Ray Serve and KubeAI.

Ray Serve, serve/advanced-guides/advanced-autoscaling.md (August 2026): mean of the last 30 s over
target_ongoing_requests = 2, its default; up after 30 s and down after 600 s of wanting it; it decides every 0.1 s
on metrics pushed every 10 s, which is here every 10 s. KubeAI, internal/modelautoscaler/autoscaler.go: every 10 s
the mean of 10 minutes over a target, which is here what is in flight at capacity; down after 30 s of votes for it.
"""

from __future__ import annotations

import math

from enova.core.backtest.laws.static import bounded
from enova.core.control.plant import Plant
from enova.core.control.sight import Sight


class Ongoing:
    """Keeps the requests at each replica at a target, after wanting to for a while."""

    interval_s = 10.0

    def __init__(self, plant: Plant, *, target: float, over_s: float, up_s: float, down_s: float) -> None:
        self._plant, self._target, self._over_s = plant, target, over_s
        self._up_s, self._down_s = up_s, down_s
        self._wants_since_s: tuple[bool, float] | None = None

    def decide(self, sight: Sight) -> int | None:
        """Return ceil(ongoing / target), once it was on the same side for as long as the delay."""
        up = sight.up
        if not up and sight.held:
            return bounded(1, self._plant)
        moments = sight.seen.moments(self._over_s)
        if not moments:
            return None
        ongoing = sum(moment.in_flight for moment in moments) / len(moments)
        wanted = bounded(math.ceil(ongoing / self._target - 1e-9), self._plant)
        if wanted == up:
            self._wants_since_s = None
            return None
        more = wanted > up
        if self._wants_since_s is None or self._wants_since_s[0] is not more:
            self._wants_since_s = more, sight.at_s
        if sight.at_s - self._wants_since_s[1] < (self._up_s if more else self._down_s):
            return None
        self._wants_since_s = None
        return wanted


def ray_serve(plant: Plant) -> Ongoing:
    """Return it with its defaults."""
    return Ongoing(plant, target=2.0, over_s=30.0, up_s=30.0, down_s=600.0)


def ray_serve_tuned(plant: Plant) -> Ongoing:
    """Return it with the target that suits the service best: what is in flight at capacity."""
    return Ongoing(plant, target=plant.concurrency, over_s=30.0, up_s=30.0, down_s=600.0)


def kubeai(plant: Plant) -> Ongoing:
    """Return it with that target."""
    return Ongoing(plant, target=plant.concurrency, over_s=600.0, up_s=0.0, down_s=30.0)
