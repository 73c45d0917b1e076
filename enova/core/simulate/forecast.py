"""From engines and a load to Results: the one function that planning, scaling, commands and accuracy all call."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from enova.core.engine.curves import Curves
from enova.core.engine.roofline import frontend_of, step_time_of
from enova.core.engine.setup import EngineSetup
from enova.core.engine.step_time import Origin
from enova.core.simulate.changes import USUAL_RETRIES, Change, Retries, Ticks
from enova.core.simulate.collector import Collector
from enova.core.simulate.fleet import Fleet
from enova.core.simulate.limits_of import limits_of
from enova.core.simulate.promises import Promise, targets_of
from enova.core.simulate.replica import ReplicaSetup, ReplicaView
from enova.core.simulate.results import NO_MODEL_ERROR, ModelError, Results
from enova.core.simulate.routing import policy_of
from enova.core.simulate.sensitivity import others_of
from enova.core.simulate.summary import Work, results_of
from enova.core.spec.injection import Constant, Gamma, Normal, Poisson, Stages, Trace
from enova.core.workload.load import Load
from enova.core.workload.rates import rate_of
from enova.core.workload.request import Request
from enova.core.workload.sources import stream
from enova.errors import UsageError

LOOKS = 400
"""How often a run is looked at, if it can be told how long it will be."""
SHORTEST_INTERVAL_S = 0.1
"""Between looks: an overloaded fleet goes on for much longer than requests come."""


ENOUGH_REQUESTS = 2000
ENOUGH_S = 180.0
ENOUGH_PER_USER = 20
"""What a forecast takes where nobody says when a load ends: at least so many requests, for at least so long."""
WARM_UP = 0.2
"""Share of the time after which counting begins, under steady arrivals."""


STEADY = (Poisson, Constant, Gamma, Normal)
"""Arrivals whose rate is the same all the time; of others, batches differ for more reasons than noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How a load is run, and what of it is kept."""

    policy: str = "round_robin"
    """How the router spreads requests, by vllm-router's name."""
    retries: Retries = USUAL_RETRIES
    """What the router does about replicas that fail: `retries_of` a spec's gateway."""
    requests: int | None = None
    """At most so many are sent."""
    warmup_s: float = 0.0
    """Requests that arrive before are not counted."""
    promises: tuple[Promise, ...] = ()
    availability: float | None = None
    """Share of requests, 0 to 1, that are promised to be answered without an error."""
    error: ModelError = NO_MODEL_ERROR
    sensitivity: bool = False
    """Whether bands reach what this very load would see if step times were off by their error: close to capacity
    that is more than `error` says. It takes two more runs of an open loop, and one more for each of the replicas'
    draws; a `scaler` must remember nothing of earlier runs."""
    changes: tuple[Change, ...] = ()
    """Failures, drains and scaling at given times."""
    scaler: Ticks | None = None
    """What decides on the number of replicas while the load runs."""
    keep_records: bool = False
    leap: bool = True


def forecast(
    setups: Sequence[EngineSetup],
    curves: Curves,
    load: Load,
    conditions: Conditions = Conditions(),
    *,
    start_up_s: float = 0.0,
) -> Results:
    """Predict what users of a load see that these engines, one a replica, serve.

    Raises:
        UsageError: the load would never end.
        KeyError: `curves` lack the efficiency of a GPU.
    """
    made: dict[int, ReplicaSetup] = {}
    for setup in setups:
        if id(setup) not in made:
            made[id(setup)] = replica_of(setup, curves, start_up_s=start_up_s)
    return run_of([made[id(setup)] for setup in setups], load, conditions)


def replica_of(setup: EngineSetup, curves: Curves, *, start_up_s: float = 0.0) -> ReplicaSetup:
    """Return a replica that runs an engine, timed by what was measured of its GPU."""
    return ReplicaSetup(
        limits=limits_of(setup),
        step_time=step_time_of(setup, curves),
        frontend=frontend_of(curves),
        start_up_s=start_up_s,
    )


def run_of(replicas: Sequence[ReplicaSetup], load: Load, conditions: Conditions = Conditions()) -> Results:
    """Predict the same for replicas whose step times may come from anywhere, calibration for example."""
    if conditions.requests is None and _endless(load):
        raise UsageError("the traffic never ends", hint="set injection.duration, or a number of requests")
    others: list[Results] = []
    if conditions.sensitivity:
        once = replace(conditions, sensitivity=False, keep_records=False)
        fleets = others_of(replicas, conditions.error, closed=load.users is not None)
        others = [run_of(fleet, load, once) for fleet in fleets]
    collector = Collector(
        targets=targets_of(conditions.promises),
        error=conditions.error,
        origin=origin_of(replicas),
        warmup_s=conditions.warmup_s,
        interval_s=interval_s_of(load, conditions),
        changing=not isinstance(load.arrival, STEADY),
        closed=load.users is not None,
        keep_records=conditions.keep_records,
    )
    fleet = Fleet(
        replicas,
        collector,
        stream(load.seed, "retries"),
        policy=policy_of(conditions.policy, stream(load.seed, "policy")),
        retries=conditions.retries,
        changes=conditions.changes,
        ticks=_watched(collector, conditions.scaler),
        leap=conditions.leap,
    )
    _serve(fleet, load, conditions.requests)
    ended_s = max((replica.engine.now_s for replica in fleet.replicas), default=0.0)
    return results_of(
        collector,
        Work(
            busy_s=sum(replica.engine.busy_s for replica in fleet.replicas),
            present_s=fleet.replica_seconds(ended_s),
            preemptions=sum(replica.engine.preemptions for replica in fleet.replicas),
        ),
        others,
    )


def settled(load: Load, conditions: Conditions) -> Conditions:
    """Return conditions under which the figures of a load are those of a fleet that has settled.

    A load that would never end gets an end, after some minutes and thousands of requests. Of steady arrivals the
    first fifth is warm-up; of waves, stages, traces and closed loops everything counts, as in a benchmark of them.
    """
    rate = rate_of(load)
    if conditions.requests is None and _endless(load):
        enough = ENOUGH_PER_USER * load.users.number if load.users else math.ceil(ENOUGH_S * (rate or 0.0))
        conditions = replace(conditions, requests=max(ENOUGH_REQUESTS, enough))
    if isinstance(load.arrival, STEADY) and rate:
        spans = [load.duration_s, conditions.requests and conditions.requests / rate]
        conditions = replace(conditions, warmup_s=WARM_UP * min(span for span in spans if span))
    return conditions


def interval_s_of(load: Load, conditions: Conditions) -> float:
    """Return how long the intervals of a run are that is looked at `LOOKS` times, as far as its end is known."""
    rate = rate_of(load)
    spans = [load.duration_s, conditions.requests / rate if conditions.requests and rate else None]
    if isinstance(load.arrival, Stages):
        spans.append(sum(float(stage.duration) for stage in load.arrival.stages))
    if load.trace is not None and load.trace.at_s is not None and isinstance(load.arrival, Trace):
        spans.append(float(load.trace.at_s[-1]) / load.arrival.speed)
    known = [span for span in spans if span]
    return max(min(known) / LOOKS, SHORTEST_INTERVAL_S) if known else 1.0


def origin_of(replicas: Sequence[ReplicaSetup]) -> Origin:
    """Return where the times of the least well known replica come from."""
    return max((replica.step_time.origin for replica in replicas), key=list(Origin).index)


def _endless(load: Load) -> bool:
    return load.duration_s is None and not isinstance(load.arrival, (Stages, Trace))


def _serve(fleet: Fleet, load: Load, limit: int | None) -> None:
    if load.users is None:
        fleet.serve(load.requests(limit))
        return
    think_s = load.users.think_s
    until_s = math.inf if load.duration_s is None else load.duration_s
    sent = _Tap(load.requests(limit))
    fleet.serve_users(sent, load.users.number, lambda: think_s, until_s=until_s)
    # After the end nobody sends any more, and what was sent is answered.
    sent.shut = True
    fleet.serve(())


class _Tap:
    """Requests, until it is shut."""

    def __init__(self, requests: Iterator[Request]) -> None:
        self.shut = False
        self._requests = requests

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        if self.shut:
            raise StopIteration
        return next(self._requests)


def _watched(collector: Collector, scaler: Ticks | None) -> Ticks:
    """Return ticks at which the collector looks at the fleet, and then whoever scales it."""
    decide: Callable[[float, Sequence[ReplicaView]], int | None] | None = scaler and scaler.decide

    def look(now_s: float, views: Sequence[ReplicaView]) -> int | None:
        collector.look(now_s, views)
        return decide(now_s, views) if decide is not None else None

    return Ticks(scaler.interval_s if scaler else collector.timeline.interval_s, look)
