"""The same traffic at another rate: what sweeps and searches for capacity turn."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from enova.core.spec.fields import Section
from enova.core.spec.injection import Arrival, ClosedLoop, Diurnal, Normal, Stages, Trace
from enova.core.spec.units import Rate
from enova.core.workload.arrivals import mean_rate
from enova.core.workload.load import Load
from enova.core.workload.sources import stream
from enova.errors import UsageError

S = TypeVar("S", bound=Section)


def rate_of(load: Load) -> float | None:
    """Return the mean rate of a load in requests/s, None for a closed loop."""
    return mean_rate(load.arrival, load.trace)


def at_rate(load: Load, rate: float) -> Load:
    """Return the load with the same pattern of arrivals and the same lengths, at another mean rate.

    Raises UsageError for a closed loop, and for arrivals whose mean rate is 0 or not known.
    """
    now = rate_of(load)
    if not now:
        words = "users wait for their answers" if load.users else "the traffic has no mean rate"
        raise UsageError(f"the rate cannot be set: {words}", hint="use an open process such as poisson")
    arrival = _scaled(load.arrival, rate / now)
    return Load(load.injection.model_copy(update={"arrival": arrival}), arrival, load.seed, load.recordings)


def thinned(load: Load, rate: float) -> Load:
    """Return recorded traffic of which only so many requests/s are left, drawn one by one; their times stay.

    Raises UsageError if the recording has fewer.
    """
    arrival, recording, mean = load.arrival, load.trace, rate_of(load)
    if recording is None or not mean or not isinstance(arrival, Trace) or rate > mean:
        hint = "a trace of rates can be scaled to any"
        raise UsageError(f"the trace has {mean or 0:.3g} requests/s, and no more can be made", hint=hint)
    kept = recording.of(np.flatnonzero(stream(load.seed, "thinned").random(len(recording)) < rate / mean))
    if not len(kept):
        raise UsageError("no request would be left of the trace", hint="a higher rate leaves some")
    return Load(load.injection, arrival, load.seed, {**load.recordings, arrival.file: kept})


def _scaled(arrival: Arrival, factor: float) -> Arrival:
    match arrival:
        case ClosedLoop():
            return arrival
        case Trace():
            return arrival.model_copy(update={"speed": arrival.speed * factor})
        case Stages():
            stages = tuple(_times(stage, factor, "rate", "to_rate") for stage in arrival.stages)
            return arrival.model_copy(update={"stages": stages})
        case Diurnal():
            return _times(arrival, factor, "low", "high")
        case Normal():
            return _times(arrival, factor, "rate", "std")
    return _times(arrival, factor, "rate")


def _times(section: S, factor: float, *names: str) -> S:
    rates = {name: getattr(section, name) for name in names}
    changed = {name: Rate(rate * factor) for name, rate in rates.items() if rate is not None}
    return section.model_copy(update=changed)
