"""How a measurement was made, where its row does not say: rules that fill in the engine's flags and the load."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from enova.core.accuracy.benchmark import Benchmark, random_lengths, repeated_prompts
from enova.core.accuracy.point import ServingPoint
from enova.core.engine.model_card import ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.setup import Version

Setting = bool | int | float | str

_VERSION = re.compile(r"\d+\.\d+")
_PATTERNS = ("source", "model", "gpu", "quantisation", "run")
_TERM = re.compile(r"(?:(\d+)\*)?(C|ISL|OSL)|(\d+)")
_BOUND = re.compile(r"(<|>=)\s*(\d+(?:[.-]\d+)*)")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Match(_Strict):
    """What a rule holds for: shell patterns, and bounds such as `<0.18` or `>=2026-04-15`."""

    source: str = "*"
    model: str = "*"
    gpu: str = "*"
    quantisation: str = "*"
    run: str = "*"
    vllm: Annotated[str, Field(pattern=_BOUND.pattern)] | None = None
    measured: Annotated[str, Field(pattern=_BOUND.pattern)] | None = None


class Clients(_Strict):
    """How clients behave."""

    prompts_per_user: int
    range_ratio: float
    """Lengths are uniform between this share of the nominal length and the nominal length."""
    distinct_prompts: int | None = None
    """Requests draw from so many prompts, so that the prefix cache finds many of them; None: all are different."""
    settled: bool = False
    """Each user's first request is not counted: whoever measured waited until the start was over."""


class Source(_Strict):
    """What all measurements of one origin have in common."""

    match: Match
    engine: dict[str, Setting] = {}
    load: Clients
    vllm: Annotated[str, Field(pattern=_VERSION.pattern)]
    """For points that do not tell their version."""


class Script(_Strict):
    """What was particular to a model on a GPU, at a time."""

    match: Match
    engine: dict[str, Setting] = {}
    vllm: Annotated[str, Field(pattern=_VERSION.pattern)] | None = None
    data_parallel_attention: bool = False


class Checkpoint(_Strict):
    """What a table's word for quantisation means for a model's weights."""

    model: str = "*"
    quantisation: str = "*"
    formats: Literal["as published"] | dict[str, Numbers]


class Protocols(_Strict):
    """All that is known about how published measurements were made."""

    checkpoints: tuple[Checkpoint, ...]
    sources: tuple[Source, ...]
    scripts: tuple[Script, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How one point was measured."""

    engine: Mapping[str, Setting]
    """Settings of EngineSetup by name, numbers worked out; what is absent is vLLM's own default."""
    vllm: Version
    tensor_parallel: int
    data_parallel: int
    expert_parallel: bool
    clients: Clients

    def load(self, point: ServingPoint) -> Benchmark:
        """Return the requests that were sent."""
        prompts, distinct = self.clients.prompts_per_user * point.users, self.clients.distinct_prompts
        prompt_tokens, output_tokens = random_lengths(
            point.isl, point.osl, prompts, range_ratio=self.clients.range_ratio
        )
        return Benchmark(
            users=point.users,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            prompts=repeated_prompts(distinct, prompts) if distinct else (),
            uncounted=point.users if self.clients.settled else 0,
        )


def protocol_of(point: ServingPoint, protocols: Protocols) -> Protocol:
    """Return how a point was measured. The last source must match everything."""
    source = next(entry for entry in protocols.sources if _matches(entry.match, point))
    scripts = (entry for entry in protocols.scripts if _matches(entry.match, point))
    script = next(scripts, Script(match=Match()))
    tensor, data = point.tensor_parallel, point.data_parallel
    if point.source == "inferencex" and data > 1:
        # These rows count the GPUs twice: there were as many as tensor-parallel ranks, and either kind of ranks.
        tensor, data = (1, tensor) if script.data_parallel_attention else (tensor, 1)
    return Protocol(
        engine={name: _worked_out(value, point, data) for name, value in (source.engine | script.engine).items()},
        vllm=point.vllm or version_of(script.vllm or source.vllm),
        tensor_parallel=tensor,
        data_parallel=data,
        expert_parallel=point.expert_parallel,
        clients=source.load,
    )


def card_as_measured(point: ServingPoint, published: ModelCard, checkpoints: Sequence[Checkpoint]) -> ModelCard:
    """Return the model's card with its weights in the formats the point was measured with."""
    for checkpoint in checkpoints:
        if fnmatchcase(point.model.lower(), checkpoint.model.lower()) and fnmatchcase(
            point.quantisation, checkpoint.quantisation
        ):
            if checkpoint.formats == "as published":
                return published
            return _requantised(published, checkpoint.formats)
    return published


def _requantised(published: ModelCard, formats: Mapping[str, Numbers]) -> ModelCard:
    changed = replace(published.formats, **formats)
    if changed == published.formats:
        return published
    # What is stored on the hub is another checkpoint's size.
    return replace(published, formats=changed, weight_bytes=None)


def _matches(match: Match, point: ServingPoint) -> bool:
    named = all(fnmatchcase(getattr(point, name).lower(), getattr(match, name).lower()) for name in _PATTERNS)
    return (
        named
        and (match.vllm is None or _within(match.vllm, point.vllm))
        and (match.measured is None or _within(match.measured, _numbers(point.measured_on)))
    )


def _within(bound: str, value: tuple[int, ...] | None) -> bool:
    """Return whether a version or date keeps to a bound; what is not known keeps to none."""
    parsed = _BOUND.fullmatch(bound)
    if parsed is None or not value:
        return False
    limit = _numbers(parsed[2])
    return value < limit if parsed[1] == "<" else value >= limit


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.split(r"[.-]", text) if part.isdecimal())


def version_of(text: str) -> Version:
    """Return the first two parts of a version such as 0.19.0."""
    major, minor = _numbers(text.removeprefix("v"))[:2]
    return major, minor


def _worked_out(value: Setting, point: ServingPoint, data_parallel: int) -> Setting:
    """Return a number for a sum of terms such as `2*ISL`, and anything else as it is."""
    if not isinstance(value, str):
        return value
    terms = [_TERM.fullmatch(term.strip()) for term in value.split("+")]
    if not all(terms):
        return value
    names = {"C": -(-point.users // data_parallel), "ISL": point.isl, "OSL": point.osl}
    return sum(
        int(term[3]) if term[3] else int(term[1] or 1) * names[term[2]] for term in terms if term is not None
    )
