"""The traffic a service is built for and tested with: when requests come, and how long they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from enova.core.spec.fault import Fault, raise_all
from enova.core.spec.fields import FilePath, PositiveDuration, Section, Word, key
from enova.core.spec.units import Duration, Rate

Tokens = Annotated[int, Field(ge=1, le=100_000_000)]
Share = Annotated[float, Field(gt=0, le=1_000_000)]


class Poisson(Section):
    """Independent users: requests come at random, at a steady mean rate."""

    process: Literal["poisson"] = key("Random arrivals at a steady mean rate.", "poisson", ...)
    rate: Rate = key("Mean rate of requests.", "20/s", ...)


class Constant(Section):
    """Evenly spaced requests."""

    process: Literal["constant"] = key("Evenly spaced arrivals.", "constant", ...)
    rate: Rate = key("Rate of requests.", "20/s", ...)


class Gamma(Section):
    """Bursts: gaps between requests follow a gamma distribution."""

    process: Literal["gamma"] = key("Arrivals in bursts.", "gamma", ...)
    rate: Rate = key("Mean rate of requests.", "20/s", ...)
    cv: Annotated[float, Field(gt=0, le=100)] = key(
        "Coefficient of variation of the gaps: 1 is poisson, more is burstier.", 2.5, ...
    )


class Normal(Section):
    """A rate that is drawn anew for every second from a normal distribution, cut at zero."""

    process: Literal["normal"] = key("A rate that varies around its mean.", "normal", ...)
    rate: Rate = key("Mean rate of requests.", "20/s", ...)
    std: Rate = key("Standard deviation of the rate from second to second.", "5/s", ...)


class Stage(Section):
    """A stretch of time with a steady or a linearly changing rate."""

    duration: PositiveDuration = key("How long the stage lasts.", "5m", ...)
    rate: Rate = key("Mean rate of requests at its start.", "5/s", ...)
    to_rate: Rate | None = key("Mean rate at its end; unset is steady.", "50/s")


class Stages(Section):
    """Steps and ramps, one after another; within each, arrivals are random."""

    process: Literal["stages"] = key("Steps and ramps, one after another.", "stages", ...)
    stages: Annotated[tuple[Stage, ...], Strict(strict=False)] = key(
        "The stages in order.",
        [{"duration": "5m", "rate": "5/s", "to_rate": "50/s"}],
        ...,
        min_length=1,
        max_length=1000,
    )


class Diurnal(Section):
    """A daily wave between a low and a high rate."""

    process: Literal["diurnal"] = key("A wave between a low and a high rate.", "diurnal", ...)
    low: Rate = key("Rate at the quietest moment.", "2/s", ...)
    high: Rate = key("Rate at the busiest moment.", "40/s", ...)
    period: PositiveDuration = key("Length of one wave.", "1d", Duration(86_400))
    peak_at: Duration = key("Time from the start of a wave to its busiest moment.", "14h", Duration(14 * 3600))

    @model_validator(mode="after")
    def _fit_together(self) -> Diurnal:
        faults = []
        if self.high < self.low:
            faults.append(Fault(f"must be at least low ({self.low})", path=("high",)))
        if self.peak_at > self.period and "peak_at" in self.model_fields_set:
            faults.append(Fault(f"must be within the period ({self.period})", path=("peak_at",)))
        raise_all(faults)
        return self


class Trace(Section):
    """Recorded arrivals, played back."""

    process: Literal["trace"] = key("Recorded arrivals, played back.", "trace", ...)
    file: FilePath = key(
        "CSV or JSON with a `timestamp` in seconds for each request; also as Azure, Mooncake or BurstGPT have it.",
        "./monday.csv",
        ...,
    )
    speed: Annotated[float, Field(gt=0, le=10_000)] = key("Playback speed; 2 is twice as fast.", 2.0, 1.0)


class ClosedLoop(Section):
    """A fixed number of users, each of whom sends the next request once the last one is answered."""

    process: Literal["closed_loop"] = key("Users who wait for their answers.", "closed_loop", ...)
    users: Annotated[int, Field(ge=1, le=1_000_000)] = key("How many users there are.", 64, ...)
    think_time: Duration = key("Time between an answer and the next request.", "2s", Duration(0))


Arrival = Annotated[
    Poisson | Constant | Gamma | Normal | Stages | Diurnal | Trace | ClosedLoop, Field(discriminator="process")
]


class Fixed(Section):
    """Every request has the same length."""

    distribution: Literal["fixed"] = key("One length for all.", "fixed", ...)
    tokens: Tokens = key("The length.", 512, ...)


class _Bounded(Section):
    min: Tokens | None = key("Shortest length; shorter draws are cut to it.", 16)
    max: Tokens | None = key("Longest length; longer draws are cut to it.", 4096)

    @model_validator(mode="after")
    def _in_order(self) -> _Bounded:
        if self.min is not None and self.max is not None and self.max < self.min:
            raise Fault(f"must be at least min ({self.min})", path=("max",))
        return self


class Uniform(_Bounded):
    """Every length between two bounds is equally likely."""

    distribution: Literal["uniform"] = key("All lengths between min and max alike.", "uniform", ...)
    min: Tokens = key("Shortest length.", 64, ...)
    max: Tokens = key("Longest length.", 1024, ...)


class NormalLength(_Bounded):
    """Lengths around a mean."""

    distribution: Literal["normal"] = key("Lengths around a mean.", "normal", ...)
    mean: Annotated[float, Field(ge=1, le=1e8)] = key("Mean length in tokens.", 512, ...)
    std: Annotated[float, Field(ge=0, le=1e8)] = key("Standard deviation in tokens.", 128, ...)


class Lognormal(_Bounded):
    """Mostly short, sometimes very long: what chat traffic looks like."""

    distribution: Literal["lognormal"] = key("Mostly short, sometimes very long.", "lognormal", ...)
    mean: Annotated[float, Field(ge=1, le=1e8)] = key(
        "Mean length in tokens (of the lengths, not logs).", 512, ...
    )
    std: Annotated[float, Field(ge=0, le=1e8)] = key("Standard deviation in tokens.", 700, ...)


class Empirical(Section):
    """Lengths as they were measured."""

    distribution: Literal["empirical"] = key("Lengths as measured.", "empirical", ...)
    values: Annotated[tuple[Tokens, ...], Strict(strict=False)] = key(
        "Lengths that occur.", [128, 512, 2048], ..., min_length=1, max_length=10_000
    )
    weights: Annotated[tuple[Share, ...], Strict(strict=False)] | None = key(
        "How often each of them occurs, in any unit; unset is equally often.", [5, 3, 1]
    )

    @model_validator(mode="after")
    def _as_many(self) -> Empirical:
        if self.weights is not None and len(self.weights) != len(self.values):
            raise Fault(f"must have as many entries as values ({len(self.values)})", path=("weights",))
        return self


Lengths = Annotated[Fixed | Uniform | NormalLength | Lognormal | Empirical, Field(discriminator="distribution")]


class SharedPrefix(Section):
    """A beginning that many prompts have in common, as system prompts and few-shot examples are."""

    tokens: Tokens = key("How long it is; prompts that are shorter consist of it alone.", 400, ...)
    count: Annotated[int, Field(ge=1, le=1_000_000)] = key(
        "How many different ones there are; each prompt begins with one of them at random.", 10, 1
    )


class Requests(Section):
    """What requests look like: lengths, or a dataset that gives them."""

    prompt_tokens: Lengths | None = key("Lengths of prompts.", {"distribution": "fixed", "tokens": 512})
    output_tokens: Lengths | None = key("Lengths of answers.", {"distribution": "fixed", "tokens": 128})
    dataset: FilePath | None = key(
        "Real prompts, as CSV or JSON: `prompt` (or `question`, `instruction`, `text`, `messages`), and "
        "`output_tokens` if known; ShareGPT's `conversations`; or lengths alone.",
        "./prompts.jsonl",
    )
    shared_prefix: SharedPrefix | None = key(
        "A beginning that prompts have in common; it counts as part of prompt_tokens.",
        {"tokens": 400, "count": 10},
    )

    @model_validator(mode="after")
    def _one_source(self) -> Requests:
        if self.dataset and self.prompt_tokens:
            raise Fault(
                "the dataset gives the prompts and their lengths", hint="keep one", path=("prompt_tokens",)
            )
        return self


class RequestClass(Requests):
    """One kind of request in a mix."""

    name: Word = key("Name that results are reported under.", "chat", ...)
    weight: Share = key("How often it occurs, compared with the others.", 3, ...)


class Injection(Requests):
    """The traffic. It never restarts anything that runs."""

    arrival: Arrival | None = key("When requests come.", {"process": "poisson", "rate": "20/s"})
    classes: Annotated[tuple[RequestClass, ...], Strict(strict=False)] = key(
        "A mix of kinds of requests, in place of one kind.",
        [{"name": "chat", "weight": 3, "prompt_tokens": {"distribution": "fixed", "tokens": 512}}],
        (),
        max_length=100,
    )
    burst: Annotated[float, Field(ge=1, le=100)] | None = key(
        "Times the stated traffic that replicas are chosen to hold; unset is 1.2.", 1.5
    )
    duration: PositiveDuration | None = key("How long a test runs.", "10m")
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = key("Seed that makes a test repeatable.", 42)

    @model_validator(mode="after")
    def _fit_together(self) -> Injection:
        raise_all(list(_mixed_up(self)))
        return self


def _mixed_up(injection: Injection) -> Iterator[Fault]:
    if not injection.classes:
        return
    for name in Requests.model_fields:
        if getattr(injection, name) is not None:
            yield Fault("cannot stand beside classes", hint="move it into each class", path=(name,))
    names = [item.name for item in injection.classes]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Fault("is already the name of another class", path=("classes", index, "name"))
