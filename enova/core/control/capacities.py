"""From a replica and a load to the plant: how much so many replicas take, found by simulating some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from enova.core.control.plant import Curve, Plant
from enova.core.recommend.trial import WITHOUT_PROMISES
from enova.core.simulate.capacity import capacity_of
from enova.core.simulate.forecast import Conditions, run_of
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.results import QUANTILES, Metric
from enova.core.spec.injection import Trace
from enova.core.workload.load import Load
from enova.core.workload.rates import at_rate
from enova.core.workload.sources import stream

COUNTS = (1, 2, 4)
"""Replicas that are simulated; more of them take in proportion. What pools gains is gained by then."""


def plant_of(
    replica: ReplicaSetup, load: Load, conditions: Conditions, *, counts: Sequence[int] = COUNTS
) -> Plant:
    """Return the plant of a service under a load's pattern of requests.

    Where no rate keeps the promises, it is what can be served without them. Of recorded traffic the lengths are
    taken, not the times: how often requests come is what is to be found out, again and again.
    """
    load = _steady(load)
    found = [capacity_of([replica] * count, load, conditions) for count in counts]
    rates = [capacity.rate.value for capacity in found]
    feasible = rates[-1] > 0
    if not feasible:
        rates = [WITHOUT_PROMISES * capacity.saturated for capacity in found]
    steady = [max(rates[: place + 1]) for place in range(len(rates))]
    curve = Curve(tuple(counts), tuple(steady))
    return Plant(
        capacity=curve,
        feasible=feasible,
        start_up_s=replica.start_up_s,
        target=min((QUANTILES.get(promise.statistic, 0.99) for promise in conditions.promises), default=0.99),
        concurrency=_concurrency(replica, load, conditions, curve.of(1)),
    )


def _steady(load: Load) -> Load:
    """Return recorded traffic at random times, and in random order unless prompts share their beginnings."""
    if not isinstance(load.arrival, Trace) or load.trace is None:
        return load
    rng = stream(load.seed, "capacity")
    count = len(load.trace)
    times = np.cumsum(rng.standard_exponential(count))
    order = rng.permutation(count) if load.trace.prefixes is None else np.arange(count)
    drawn = replace(load.trace.of(order), at_s=times - times[0])
    return Load(load.injection, load.arrival, load.seed, {**load.recordings, load.arrival.file: drawn})


def _concurrency(replica: ReplicaSetup, load: Load, conditions: Conditions, per_s: float) -> float:
    """Return the requests in flight at one replica at its capacity, by Little's law."""
    if not per_s:
        return 1.0
    results = run_of([replica], at_rate(load, per_s), replace(conditions, requests=1000, sensitivity=False))
    return max(1.0, per_s * results.of(Metric.E2E, "mean").value)
