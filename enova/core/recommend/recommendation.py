"""What comes out of a recommendation: choices with reasons, or what binds and the nearest ways out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from enova.core.recommend.fields import Chosen
from enova.core.recommend.search import Found
from enova.core.recommend.shape import Lost, Shape


class PinCost(NamedTuple):
    """What a value that the user pinned costs."""

    field: str
    value: str
    usd_per_h: float
    """More than without the pin, USD an hour."""
    instead: str
    """What would be chosen without it."""


class Nearest(NamedTuple):
    """One change of the spec, or of what there is, that makes it feasible; simulated like everything else."""

    field: str
    """`budget.cost`, `slo.ttft.p95`, `placement.gpu_types`, `injection`; several where one is not enough."""
    value: str
    words: str
    """What would be run then."""


class Considered(NamedTuple):
    """One way that was looked at."""

    words: str
    replicas: int | None
    usd_per_h: float | None
    verdict: str
    """`chosen`, or why it lost."""


class Point(NamedTuple):
    """One way with one number of replicas: what it costs and how slow it is."""

    words: str
    replicas: int
    usd_per_h: float
    """Of all replicas."""
    latency: str
    """Which: `ttft.p95`."""
    value_s: float
    high_s: float
    """The bad end of its band."""
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The cheapest way to keep every promise."""

    shape: Shape
    replicas: int
    found: Found | None
    """None where nothing was simulated: no traffic is stated."""
    chosen: Chosen
    """By field; what is left to vLLM's defaults is absent."""
    why: Mapping[str, str]
    """Of every chosen field."""
    considered: tuple[Considered, ...]
    pins: tuple[PinCost, ...] = ()
    max_tokens: Mapping[str, int]
    """Advice to clients, by class of requests: longer answers are outliers there. The gateway enforces none."""
    points: tuple[Point, ...] = ()

    @property
    def usd_per_h(self) -> float | None:
        """Return what all replicas cost; None: no price is known."""
        price = self.shape.usd_per_h
        return None if price is None else price * self.replicas


@dataclass(frozen=True, slots=True, kw_only=True)
class Infeasible:
    """Nothing keeps every promise within what is allowed."""

    binding: str
    """The constraint, and by how much, in words."""
    considered: tuple[Considered, ...]
    nearest: tuple[Nearest, ...]
    fallback: Recommendation | None
    """What comes closest within what is allowed, for users who want it all the same."""
    points: tuple[Point, ...] = ()


Outcome = Recommendation | Infeasible


def considered_of(found: list[Found], lost: list[Lost], best: Found | None) -> tuple[Considered, ...]:
    """Return all ways that were looked at: those that will do first, by cost, then the others by name."""
    kept = [
        Considered(one.shape.words, one.replicas, one.usd_per_h, "chosen" if one is best else _why_lost(one, best))
        for one in sorted(found, key=Found.order)
    ]
    rest = sorted(lost, key=lambda one: (one.usd_per_h is None, one.usd_per_h or 0.0, one.words, one.reason))
    return (*kept, *(Considered(one.words, None, one.usd_per_h, one.reason) for one in rest))


def _why_lost(one: Found, best: Found | None) -> str:
    if best is None or one.usd_per_h is None:
        return "keeps the promises; no price is known for it" if one.usd_per_h is None else "keeps the promises"
    more = one.usd_per_h - (best.usd_per_h or 0.0)
    if more > 0:
        return f"keeps the promises, for {more:.2f} USD/h more"
    return "costs as much, with more GPUs or more changes of vLLM's defaults"
