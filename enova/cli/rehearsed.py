"""Traffic replayed for commands: from a service and a trace to what policies make of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from enova.cli.replayed import Rates, replayed
from enova.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from enova.cli.setups import Asked
    from enova.cli.traffic import Traffic
    from enova.core.backtest.scene import Scene
    from enova.core.control.plant import Plant
    from enova.core.control.sight import Law
    from enova.render.backtest import Report

OURS, PLANNED = "enova", "planned"
MOST_REQUESTS = 5_000_000
ORACLE_REQUESTS = 200_000
"""Above this the oracle, which is some ten runs, is asked only if somebody wants it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How traffic is replayed."""

    policies: tuple[str, ...]
    rate: float | None = None
    """To which recorded traffic is scaled, in requests/s."""
    start_up_s: float | None = None
    """None: as predicted."""
    failures_per_h: float = 0.0
    oracle: bool | None = None
    """Whether it is looked for; None: if that does not take long."""
    planned: int | None = None
    """Replicas of the policy `planned`."""


def rehearsed(asked: Asked, traffic: Traffic, trace: Path | Rates | None, how: How, *, named: bool) -> Report:
    """Return what becomes of traffic. Raises CannotModel, RecordingError, or UsageError."""
    from enova.adapters.curves import measured_curves
    from enova.adapters.model_error import measured_error
    from enova.core.backtest.backtest import backtest as run
    from enova.core.backtest.backtest import traffic_of
    from enova.core.backtest.scene import Scene
    from enova.core.control.capacities import plant_of
    from enova.core.engine.fit import fit_of
    from enova.core.engine.start_up import start_up_s as predicted
    from enova.core.recommend.limits import allowed_of
    from enova.core.simulate.changes import retries_of
    from enova.core.simulate.forecast import Conditions, replica_of
    from enova.errors import CannotModel
    from enova.render.backtest import Report

    service, setup = asked.service, asked.setup
    fit = fit_of(setup)
    if not fit.starts:
        raise CannotModel(f"{setup.model.name} does not start on {setup.gpu.name}: {fit.reason}")
    load = replayed(service, traffic, trace, how.rate, named=named)
    promises = traffic.conditions(service, load, measured_error()).promises
    if not promises:
        hint = "say it in the spec under slo, or with --slo ttft.p99=2s"
        raise UsageError(f"{service.name}: nothing is promised, so nothing can be attained", hint=hint)
    replica = replica_of(setup, measured_curves(), start_up_s=how.start_up_s or predicted(setup))
    routing = service.gateway.policy or "round_robin"
    plant = plant_of(replica, load, Conditions(promises=promises, policy=routing))
    usd_per_h = _usd_per_h(asked)
    bound, limit = allowed_of(service).of(setup.gpus, usd_per_h)
    most = None if math.isinf(bound) else int(bound)
    idle = service.scaling.idle_to_zero
    plant = replace(
        plant,
        fewest=service.scaling.min,
        most=most,
        limit=limit,
        idle_to_zero_s=None if idle is None else float(idle),
    )
    requests = tuple(load.requests(MOST_REQUESTS + 1))
    if len(requests) > MOST_REQUESTS:
        raise UsageError(f"the traffic has more than {MOST_REQUESTS:,} requests", hint="cut it with --duration")
    if not requests:
        raise UsageError(f"{service.name}: the traffic holds no requests")
    whole = traffic_of(requests, load.duration_s)
    scene = Scene(
        replica=replica,
        requests=lambda: requests,
        until_s=whole.until_s,
        promises=promises,
        most=most,
        routing=routing,
        retries=retries_of(service.gateway),
        failures_per_h=how.failures_per_h,
        seed=load.seed,
        gpus=setup.gpus,
        usd_per_h=usd_per_h,
    )
    wanted = len(requests) <= ORACLE_REQUESTS if how.oracle is None else how.oracle
    found = run(scene, plant, whole, _laws(how, plant, scene, whole.peak_per_s), oracles=wanted)
    file = trace if isinstance(trace, Path) else None
    return Report(service=service.name if named else None, setup=setup, load=load, trace=file, found=found)


def _laws(how: How, plant: Plant, scene: Scene, peak_per_s: float) -> dict[str, Callable[[], Law]]:
    from enova.core.backtest.laws.known import LAWS, Facts
    from enova.core.backtest.laws.static import Static
    from enova.core.control.autoscaler import Autoscaler

    facts = Facts(
        plant=plant,
        promises=scene.promises,
        max_num_seqs=scene.replica.limits.max_num_seqs,
        peak_per_s=peak_per_s,
    )
    own: dict[str, Callable[[], Law]] = {
        OURS: lambda: Autoscaler(plant),
        PLANNED: lambda: Static(how.planned or plant.fewest),
    }

    def made(name: str) -> Callable[[], Law]:
        return lambda: LAWS[name](facts)

    return {name: own.get(name) or made(name) for name in how.policies}


def _usd_per_h(asked: Asked) -> float | None:
    price = asked.setup.gpu.price
    return None if price is None else price.usd_per_h * asked.setup.gpus
