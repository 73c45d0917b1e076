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


def others_of(replicas: Sequence[ReplicaSetup], error: ModelError) -> list[list[ReplicaSetup]]:
    """Return the fleet with the shortest steps that the error allows and with the longest; none without an error.

    What TPOT was off by is what steps are off by.
    """
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
