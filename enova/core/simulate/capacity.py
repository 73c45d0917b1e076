"""How much traffic a fleet can take: the highest rate at which every promise is kept, found by simulating.

Each rate is simulated for as long as it takes the fleet to settle, which is a matter of how long answers take. The
requests are the same at every rate, so that the search follows the load and not the dice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from enova.core.simulate.forecast import ENOUGH_REQUESTS, WARM_UP, Conditions, origin_of, run_of
from enova.core.simulate.promises import Promise
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.results import Band, Figure, Metric, Results
from enova.core.simulate.sensitivity import others_of
from enova.core.spec.injection import Diurnal, Poisson, Stages
from enova.core.spec.units import Rate
from enova.core.workload.load import Load
from enova.core.workload.rates import at_rate

SETTLED_AFTER = 20
"""Mean answers that a rate is simulated for at least, one after another."""
TOLERANCE = 0.02
"""Relative width at which the search ends."""
LOWEST = 1e-2
"""Below this share of what can be served at all, a promise is not kept at any rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a fleet can take, in requests/s."""

    rate: Figure
    """Highest mean rate that keeps every promise, 0 if none does; without promises what can be served at all."""
    saturated: float
    """What is served when there is always something waiting."""
    first_broken: tuple[Promise, ...]
    """What the next higher rate breaks."""
    tried: tuple[tuple[float, Results], ...]
    """Every rate simulated on the way, ascending."""


def capacity_of(
    replicas: Sequence[ReplicaSetup],
    load: Load,
    conditions: Conditions = Conditions(),  # noqa: B008 - frozen
) -> Capacity:
    """Search for the capacity under a load's pattern of requests; waves and stages count as steady traffic.

    At each rate at least `conditions.requests` are sent, 2000 unless told otherwise.

    Raises UsageError if the load has no rate that could be changed, as closed loops have not.
    """
    steady = _steady(load)
    others = others_of(replicas, conditions.error) if conditions.sensitivity else []
    # Each of the others gets a search of its own, so that no single rate has to be tried with all of them.
    conditions = replace(conditions, sensitivity=False)
    saturated = _saturated(replicas, steady, conditions)
    # What is served in a second is off by as much as the steps' times are, whatever the latencies' errors.
    error = conditions.error.of(origin_of(replicas), "throughput")
    if not conditions.promises or not saturated:
        served = [_saturated(fleet, steady, conditions) for fleet in others]
        rate = Figure(saturated, Band(saturated, saturated).widened(saturated, error, served))
        return Capacity(rate=rate, saturated=saturated, first_broken=(), tried=())
    search = _Search(replicas, steady, conditions, saturated)
    value = search.highest(_value)
    sure = search.highest(lambda figure: figure.band.high)
    possible = search.highest(lambda figure: figure.band.low)
    ends = [
        _Search(fleet, steady, conditions, _saturated(fleet, steady, conditions)).highest(_value)
        for fleet in others
    ]
    return Capacity(
        rate=Figure(value, Band(min(sure, value), max(possible, value)).widened(value, error, ends)),
        saturated=saturated,
        first_broken=search.broken_above(value),
        tried=tuple(sorted(search.tried.items())),
    )


def sweep_of(
    replicas: Sequence[ReplicaSetup], load: Load, conditions: Conditions, rates: Sequence[float]
) -> tuple[tuple[float, Results], ...]:
    """Return what users would see at each of these rates, as in the search for the capacity."""
    steady = _steady(load)
    saturated = _saturated(replicas, steady, replace(conditions, sensitivity=False))
    search = _Search(replicas, steady, conditions, saturated)
    return tuple((rate, search.at(rate)) for rate in rates)


class _Search:
    """Bisection on a log scale that remembers what was tried."""

    def __init__(
        self, replicas: Sequence[ReplicaSetup], load: Load, conditions: Conditions, saturated: float
    ) -> None:
        self.tried: dict[float, Results] = {}
        self._replicas = replicas
        self._load = load
        self._conditions = conditions
        # More than can be served for long can be served for a while, so that the top is not the end.
        self._ends = LOWEST * saturated, 1.05 * saturated
        self._settled_s = 0.0
        answer_s = self.at(self._ends[0]).of(Metric.E2E, "mean").value
        self._settled_s = 0.0 if math.isnan(answer_s) else SETTLED_AFTER * answer_s

    def highest(self, judged_by: Callable[[Figure], float]) -> float:
        """Return the highest rate at which this end of every figure keeps its promise."""
        low, high = self._ends
        if not self._keeps(low, judged_by):
            return 0.0
        if self._keeps(high, judged_by):
            return high
        for rate in sorted(self.tried):
            # What was tried for another end narrows the search for this one.
            if low < rate < high and self._keeps(rate, judged_by):
                low = rate
            elif low < rate < high:
                high = rate
        while high / low > 1 + TOLERANCE:
            middle = math.sqrt(low * high)
            if self._keeps(middle, judged_by):
                low = middle
            else:
                high = middle
        return low

    def broken_above(self, rate: float) -> tuple[Promise, ...]:
        """Return the promises that the next rate tried above this one breaks."""
        above = [tried for tried in sorted(self.tried) if tried > rate]
        broken = (self._broken(tried, _value) for tried in above)
        return next((promises for promises in broken if promises), ())

    def _keeps(self, rate: float, judged_by: Callable[[Figure], float]) -> bool:
        return not self._broken(rate, judged_by)

    def _broken(self, rate: float, judged_by: Callable[[Figure], float]) -> tuple[Promise, ...]:
        results = self.at(rate)
        return tuple(
            promise
            for promise in self._conditions.promises
            # Not a number is no promise kept.
            if not judged_by(results.of(promise.metric, promise.statistic)) <= promise.target_s
        )

    def at(self, rate: float) -> Results:
        """Return what users would see at a rate."""
        if rate not in self.tried:
            requests = max(self._conditions.requests or ENOUGH_REQUESTS, math.ceil(rate * self._settled_s))
            conditions = replace(self._conditions, requests=requests, warmup_s=WARM_UP * requests / rate)
            self.tried[rate] = run_of(self._replicas, at_rate(self._load, rate), conditions)
        return self.tried[rate]


def _value(figure: Figure) -> float:
    return figure.value


def _steady(load: Load) -> Load:
    """Return the load without its end, and with steady arrivals in place of waves and stages."""
    arrival = load.arrival
    if isinstance(arrival, (Stages, Diurnal)):
        arrival = Poisson(process="poisson", rate=Rate(1.0))
    injection = load.injection.model_copy(update={"arrival": arrival, "duration": None})
    return Load(injection, arrival, load.seed, load.recordings)


def _saturated(replicas: Sequence[ReplicaSetup], load: Load, conditions: Conditions) -> float:
    """Return requests/s while there is always something waiting: in the middle half, when all come at once."""
    requests = (conditions.requests or ENOUGH_REQUESTS) * len(replicas)
    conditions = replace(conditions, requests=requests, warmup_s=0.0, keep_records=True)
    records = run_of(replicas, at_rate(load, _AT_ONCE), conditions).records
    if records is None or len(records.finished_s) < 4:
        return 0.0
    first_s, last_s = np.quantile(records.finished_s, (0.25, 0.75))
    return float(len(records.finished_s) / 2 / (last_s - first_s)) if last_s > first_s else 0.0


_AT_ONCE = 1e6
"""Requests/s."""
