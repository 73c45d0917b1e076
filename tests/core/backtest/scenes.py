"""Small scenes: a replica whose steps take 10 ms, and requests of 30 tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from enova.core.backtest.backtest import Traffic, traffic_of
from enova.core.backtest.scene import Scene
from enova.core.control.plant import Curve, Plant
from enova.core.simulate.promises import promises_of
from enova.core.simulate.replica import ReplicaSetup
from enova.core.spec.service import Slo
from enova.core.workload.request import Request
from tests.core.simulate.step_times import Affine
from tests.core.simulate.test_fleet import LIMITS

START_UP_S = 30.0
REPLICA = ReplicaSetup(limits=LIMITS, step_time=Affine(base_s=0.01), start_up_s=START_UP_S)
PLANT = Plant(capacity=Curve((1, 2), (18.0, 38.0)), start_up_s=START_UP_S)
"""About what eight seats of 0.3 s take."""


def scene(
    rates: Sequence[float], minutes: float, *, slo: dict[str, Any] | None = None, seed: int = 1, **more: Any
) -> tuple[Scene, Traffic]:
    """Return Poisson arrivals at one rate after another, each for so long."""
    rng = np.random.default_rng(seed)
    times: list[float] = []
    for place, rate in enumerate(rates):
        count = rng.poisson(rate * minutes * 60)
        times += np.sort((place + rng.random(count)) * minutes * 60).tolist()
    requests = tuple(Request(number, at_s, 50, 30) for number, at_s in enumerate(times))
    traffic = traffic_of(requests, len(rates) * minutes * 60)
    promises = promises_of(Slo.model_validate(slo or {"ttft": {"p99": "1s"}}))
    built = Scene(
        replica=REPLICA, requests=lambda: requests, until_s=traffic.until_s, promises=promises, seed=seed, **more
    )
    return built, traffic
