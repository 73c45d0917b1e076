"""Kubernetes' HorizontalPodAutoscaler on requests running at each replica, and KEDA, which leaves the rest to it.

The law and its defaults are those of Kubernetes' documentation (autoscaling/v2, horizontal-pod-autoscaler):
desired = ceil(current x metric / target); nothing within 10 %; looks every 15 s; up by at most 100 % or 4 pods in
15 s; down to the highest recommendation of the last 300 s. Pods that are not ready yet count with a metric of 0
when it would scale up. It has no default target: it is given the requests that are in flight at capacity.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from enova.core.backtest.laws.static import bounded
from enova.core.control.plant import Plant
from enova.core.control.sight import Sight

TOLERANCE = 0.1
STABILISATION_S = 300.0
MOST_PODS = 4
LAST_S = 15.0
"""How old the newest look may be."""


class Hpa:
    """Keeps the mean of a metric over the replicas at a target."""

    interval_s = 15.0

    def __init__(self, plant: Plant, total: Callable[[Sight], float | None], target: float) -> None:
        """`total`: the metric of all replicas together; None where it is not known."""
        self._plant = plant
        self._total = total
        self._target = target
        self._recommended: deque[tuple[float, int]] = deque()

    def decide(self, sight: Sight) -> int | None:
        """Return the recommendation, held for the stabilisation window on the way down."""
        total, up = self._total(sight), sight.up
        if total is None:
            return None
        if not up:
            return bounded(1, self._plant) if sight.held else None
        ratio = total / max(1, sight.ready) / self._target
        if ratio > 1 and up > sight.ready:
            # With the pods that are not ready yet the ratio may fall below 1; then nothing is done.
            ratio = max(1.0, total / up / self._target)
            ready = up
        else:
            ready = max(1, sight.ready)
        desired = up if abs(ratio - 1) <= TOLERANCE else math.ceil(ready * ratio - 1e-9)
        desired = min(desired, up + max(up, MOST_PODS))
        desired = bounded(desired, self._plant)
        while self._recommended and self._recommended[0][0] <= sight.at_s - STABILISATION_S:
            self._recommended.popleft()
        self._recommended.append((sight.at_s, desired))
        return max(desired, min(up, max(replicas for _, replicas in self._recommended)))


def in_flight(sight: Sight) -> float | None:
    """Return the requests in flight at all replicas, as last seen."""
    moments = sight.seen.moments(LAST_S)
    return moments[-1].in_flight if moments else None


def waiting(sight: Sight) -> float | None:
    """Return the requests that wait at all replicas, as last seen."""
    moments = sight.seen.moments(LAST_S)
    return moments[-1].waiting if moments else None


def hpa(plant: Plant) -> Hpa:
    """Return it on requests in flight."""
    return Hpa(plant, in_flight, plant.concurrency)


QUEUE = 5.0


def keda_queue(plant: Plant) -> Hpa:
    """Return KEDA's scaler on `vllm:num_requests_waiting`, threshold 5 for each replica.

    As vLLM's production stack sets it (tutorials/20-keda-autoscaling.md, August 2026). KEDA polls every 15 s and
    hands the metric to an HPA; its cooldown of 360 s is only between the last activity and zero replicas, to which
    this does not go.
    """
    return Hpa(plant, waiting, QUEUE)
