"""What traffic asks of a fleet: how much at its peak, how long its requests are, and one replica's share of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from enova.core.simulate.forecast import WARM_UP
from enova.core.spec.injection import (
    ClosedLoop,
    Diurnal,
    Injection,
    Lognormal,
    Poisson,
    Requests,
    Stages,
    Trace,
)
from enova.core.spec.units import Rate
from enova.core.workload.load import Load
from enova.core.workload.rates import at_rate, rate_of

R = TypeVar("R", bound=Requests)

SAMPLE = 4000
"""Requests that are looked at to know how long they are."""
BURST = 1.2
"""Times the stated traffic that must be held, where injection.burst does not say."""

ASSUMED_PROMPT = Lognormal(distribution="lognormal", mean=1155, std=1109, max=16_000)
ASSUMED_OUTPUT = Lognormal(distribution="lognormal", mean=211, std=163, max=1000)
"""Where a spec says how often requests come but not how long they are: a public conversation service. Means,
deviations and longest of the conversations in Azure's LLM inference trace of November 2023 (CC-BY)."""
ASSUMPTION = (
    "lengths of requests are not stated: assumed are those of Azure's public conversation trace "
    "(prompts of 1,155 tokens, answers of 211 in the mean)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A load, and what of it decides how much of a fleet it takes."""

    load: Load
    peak: float
    """Requests/s at the busiest, or users of a closed loop."""
    trough: float
    """The same at the quietest."""
    closed: bool
    prompt_tokens: float
    """Mean."""
    output_tokens: float
    """Mean."""
    prompts: tuple[int, ...]
    """A sample, ascending."""
    longest: int
    """Tokens of the longest request of the sample."""
    shared: float
    """Share of the prompt tokens that begin like other prompts do, 0 to 1."""
    burst: float

    @property
    def computed_tokens(self) -> float:
        """Return the mean of a prompt's tokens that are not known from earlier prompts."""
        return self.prompt_tokens * (1 - self.shared)

    def prompt_at(self, share: float) -> int:
        """Return the length that this share of the prompts does not exceed."""
        return self.prompts[min(len(self.prompts) - 1, int(share * len(self.prompts)))]

    def share(self, replicas: float, *, times: float = 1.0) -> tuple[Load, float | None]:
        """Return the load that one of so many replicas gets at the peak, and its rate in requests/s.

        `times` is what the stated traffic is multiplied with. The rate is None for users who wait for answers.
        """
        amount = self.peak * times / replicas
        if self.closed:
            arrival = self.load.arrival
            users = max(1, math.ceil(amount))
            assert isinstance(arrival, ClosedLoop)  # noqa: S101 - what closed means
            return _with_arrival(self.load, arrival.model_copy(update={"users": users})), None
        load = self.load
        if isinstance(load.arrival, (Stages, Diurnal)):
            load = _with_arrival(load, Poisson(process="poisson", rate=Rate(1.0)))
        # A trace brings its own peaks along: its mean is scaled.
        scaled = at_rate(load, amount)
        return replace(scaled, injection=scaled.injection.model_copy(update={"duration": None})), amount


def demand_of(load: Load, burst: float = BURST) -> Demand:
    """Return what a load asks for. Raises UsageError for traffic without requests."""
    sample = [*load.requests(SAMPLE)]
    prompts = np.array([request.prompt_tokens for request in sample] or [1])
    outputs = np.array([request.output_tokens for request in sample] or [1])
    known = np.array([request.prefix_tokens if request.prefix >= 0 else 0 for request in sample] or [0])
    peak, trough = _ends(load)
    return Demand(
        load=load,
        peak=peak,
        trough=trough,
        closed=load.users is not None,
        prompt_tokens=float(np.mean(prompts)),
        output_tokens=float(np.mean(outputs)),
        prompts=tuple(np.sort(prompts).tolist()),
        longest=int(np.max(prompts + outputs)),
        shared=float(np.sum(known) / max(1, np.sum(prompts))),
        burst=burst,
    )


def warm_up_s(load: Load, requests: int, rate: float | None) -> float:
    """Return after how long counting begins: a trace may be over by then, and all of it counts."""
    return WARM_UP * requests / rate if rate and load.trace is None else 0.0


def peak_of(load: Load) -> float | None:
    """Return requests/s at the busiest; None for users who wait for answers."""
    return None if load.users is not None else _ends(load)[0]


def with_assumed_lengths(injection: Injection) -> tuple[Injection, tuple[str, ...]]:
    """Return the injection with lengths wherever it leaves them open, and what was assumed, in words.

    Traces and datasets bring lengths of their own.
    """
    if isinstance(injection.arrival, Trace):
        return injection, ()
    if injection.classes:
        classes = tuple(_assumed(kind) for kind in injection.classes)
        changed = injection.model_copy(update={"classes": classes})
        return changed, (ASSUMPTION,) if classes != injection.classes else ()
    changed = _assumed(injection)
    return changed, (ASSUMPTION,) if changed != injection else ()


def _assumed(kind: R) -> R:
    update: dict[str, Lognormal] = {}
    if kind.prompt_tokens is None and kind.dataset is None:
        update["prompt_tokens"] = ASSUMED_PROMPT
    if kind.output_tokens is None and kind.dataset is None:
        update["output_tokens"] = ASSUMED_OUTPUT
    return kind.model_copy(update=update) if update else kind


def _ends(load: Load) -> tuple[float, float]:
    match load.arrival:
        case ClosedLoop(users=users):
            return float(users), float(users)
        case Diurnal(low=low, high=high):
            return float(high), float(low)
        case Stages(stages=stages):
            rates = [float(rate) for stage in stages for rate in (stage.rate, stage.to_rate) if rate is not None]
            return max(rates), min(rates)
    mean = rate_of(load) or 0.0
    return mean, mean


def _with_arrival(load: Load, arrival: ClosedLoop | Poisson) -> Load:
    injection = load.injection.model_copy(update={"arrival": arrival})
    return Load(injection, arrival, load.seed, load.recordings)
