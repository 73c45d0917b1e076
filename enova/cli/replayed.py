"""From a spec and a file to the traffic that is replayed."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enova.errors import UsageError

if TYPE_CHECKING:
    from enova.cli.session import Session
    from enova.cli.traffic import Traffic
    from enova.core.spec import Injection, Service
    from enova.core.workload.load import Load


Rates = tuple[tuple[float, float], ...]
"""Seconds from the start, ascending, and the requests/s at each."""


def recorded_rates(session: Session, service: str, past_s: float) -> Rates:
    """Return the rates that the daemon kept of the last so many seconds. Raises UsageError if it kept none."""
    from enova.adapters.rollups import rollups_of

    minutes = rollups_of(session.settings).rollups(service, session.now() - past_s)
    known = [(minute.at_s, per_s) for minute in minutes if (per_s := minute.arrived_per_s) is not None]
    if len(known) < 2:
        hint = "`enova watch` keeps it while it runs"
        raise UsageError(f"{service}: no traffic of that time is kept", hint=hint)
    return tuple((at_s - known[0][0], per_s) for at_s, per_s in known)


def replayed(
    service: Service, traffic: Traffic, trace: Path | Rates | None, rate: float | None, *, named: bool
) -> Load:
    """Return the load of a trace, or else of the spec; it has an end."""
    from enova.core.spec.injection import Stages
    from enova.core.spec.injection import Trace as TraceArrival
    from enova.core.workload.rates import at_rate, rate_of, thinned

    injection = service.injection
    if trace is not None:
        injection = _injection_of(service, trace, assume=traffic)
        service = service.model_copy(update={"injection": injection})
    load = traffic.load(service, named=named or trace is not None)
    if load.users is not None:
        raise UsageError(f"{service.name}: users who wait for answers cannot be replayed", hint="give a --trace")
    if load.duration_s is None and not isinstance(load.arrival, (Stages, TraceArrival)):
        hint = "say how long with --duration 24h, or give a --trace"
        raise UsageError(f"{service.name}: the traffic never ends", hint=hint)
    if rate is None:
        return load
    if not 0 < rate < math.inf:
        raise UsageError("--rate: must be above 0")
    if isinstance(load.arrival, TraceArrival):
        return thinned(load, rate)
    return load if rate_of(load) == rate else at_rate(load, rate)


def _injection_of(service: Service, trace: Path | Rates, *, assume: Traffic) -> Injection:
    """Return the spec's injection with the arrivals of a trace. Of rates, lengths are the spec's or assumed."""
    from enova.adapters.traces import is_of_rates, read_rates
    from enova.core.recommend.demand import with_assumed_lengths
    from enova.core.spec.injection import Stage, Stages
    from enova.core.spec.injection import Trace as TraceArrival
    from enova.core.spec.units import Duration, Rate

    if isinstance(trace, Path) and not is_of_rates(str(trace)):
        kept = {"arrival": TraceArrival(process="trace", file=str(trace)), "classes": (), "duration": None}
        lengths: dict[str, Any] = {"prompt_tokens": None, "output_tokens": None, "dataset": None}
        return service.injection.model_copy(update={**kept, **lengths, "shared_prefix": None})
    rates = read_rates(str(trace)) if isinstance(trace, Path) else trace
    stages = tuple(
        Stage(duration=Duration(then_s - at_s), rate=Rate(per_s), to_rate=Rate(then))
        for (at_s, per_s), (then_s, then) in pairwise(rates)
    )
    arrival = Stages.model_construct(process="stages", stages=stages)
    changed = service.injection.model_copy(update={"arrival": arrival, "duration": None})
    if assume.prompt_tokens and assume.output_tokens:
        return changed
    return with_assumed_lengths(changed)[0]
