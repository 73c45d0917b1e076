"""Fleets whose step times may as well be the true ones: they show what the model's error does to this very load.

What latencies were off by elsewhere says how far off they are where queues are short. Close to capacity the same
error of the step times does more: steps 10 % longer can double the time in the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enova.core.engine.scaled import Scaled
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.results import NO_ERROR, Metric, ModelError


def others_of(
    replicas: Sequence[ReplicaSetup], error: ModelError, *, closed: bool = False
) -> list[list[ReplicaSetup]]:
    """Return the fleets that bands have to reach; none where nothing is known of what step times are off by.

    For an open loop these are the fleet with the shortest steps that the error allows, and with the longest; users
    who wait (`closed`) hold the queue at its length, so that the error itself says all. For any loop there is one
    for each draw that replicas have of their step times.
    """
    return [*([] if closed else _ends(replicas, error)), *_drawn(replicas)]


def _ends(replicas: Sequence[ReplicaSetup], error: ModelError) -> list[list[ReplicaSetup]]:
    # What TPOT was off by is what steps are off by.
    errors = [error.of(replica.step_time.origin, Metric.TPOT) for replica in replicas]
    if all(ends == NO_ERROR for ends in errors):
        return []
    return [
        [
            replace(replica, step_time=Scaled(replica.step_time, factor))
            for replica, factor in zip(replicas, factors, strict=True)
        ]
        for factors in zip(*errors, strict=True)
    ]


def _drawn(replicas: Sequence[ReplicaSetup]) -> list[list[ReplicaSetup]]:
    return [
        [
            replace(replica, step_time=replica.draws[index % len(replica.draws)]) if replica.draws else replica
            for replica in replicas
        ]
        for index in range(max(len(replica.draws) for replica in replicas))
    ]
