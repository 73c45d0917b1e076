"""Traffic in a few words."""

from __future__ import annotations

from enova.core.spec.injection import (
    Arrival,
    ClosedLoop,
    Diurnal,
    Empirical,
    Fixed,
    Gamma,
    Injection,
    Lengths,
    Normal,
    RequestClass,
    Requests,
    Stage,
    Stages,
    Trace,
    Uniform,
)
from enova.core.workload.load import Load


def traffic_words(load: Load) -> str:
    """Return for example `poisson 20/s; prompts 512, answers 128`."""
    return "; ".join(traffic_parts(load))


def traffic_parts(load: Load) -> list[str]:
    """Return the words for its arrivals and for each class, or those for both where there are no classes."""
    return injection_parts(load.injection)


def injection_parts(injection: Injection) -> list[str]:
    """Return the same for traffic as it is written."""
    kinds = [_kind_words(kind) for kind in injection.classes or (injection,)]
    arrivals = "arrivals unknown" if injection.arrival is None else arrival_words(injection.arrival)
    return [arrivals, *kinds] if injection.classes else [f"{arrivals}; {kinds[0]}"]


def arrival_words(arrival: Arrival) -> str:
    """Return when requests come: `poisson 20/s`."""
    match arrival:
        case ClosedLoop():
            thinking = f" and think for {arrival.think_time}" if arrival.think_time else ""
            many = "1 user who waits" if arrival.users == 1 else f"{arrival.users:,} users who wait"
            return f"{many} for each answer{thinking}"
        case Trace():
            return f"{arrival.file}" + (f" at {arrival.speed:g} times its speed" if arrival.speed != 1 else "")
        case Stages():
            return " > ".join(_stage_words(stage) for stage in arrival.stages)
        case Diurnal():
            return f"{arrival.low} to {arrival.high} every {arrival.period}"
        case Gamma():
            return f"{arrival.rate} in bursts (cv {arrival.cv:g})"
        case Normal():
            return f"{arrival.rate} ± {arrival.std}"
    return f"{arrival.process} {arrival.rate}"


def _stage_words(stage: Stage) -> str:
    ramp = "" if stage.to_rate is None else f" to {stage.to_rate}"
    return f"{stage.rate}{ramp} for {stage.duration}"


def _kind_words(kind: Requests) -> str:
    name = f"{kind.name} ({kind.weight:g}): " if isinstance(kind, RequestClass) else ""
    words = [f"prompts {_length_words(kind.prompt_tokens, kind.dataset)}"]
    if kind.shared_prefix:
        many = f"one of {kind.shared_prefix.count} prefixes" if kind.shared_prefix.count > 1 else "a prefix"
        words.append(f"{many} of {kind.shared_prefix.tokens}")
    words.append(f"answers {_length_words(kind.output_tokens, kind.dataset)}")
    return name + ", ".join(words)


def _length_words(lengths: Lengths | None, dataset: str | None) -> str:
    match lengths:
        case None:
            return f"as in {dataset}" if dataset else "as recorded"
        case Fixed():
            return f"{lengths.tokens:,}"
        case Uniform():
            return f"{lengths.min:,}-{lengths.max:,}"
        case Empirical():
            return f"of {len(lengths.values)} lengths, {min(lengths.values):,}-{max(lengths.values):,}"
    return f"{lengths.distribution} {lengths.mean:,.0f} ± {lengths.std:,.0f}"
