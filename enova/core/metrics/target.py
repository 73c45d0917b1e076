"""What is asked for its metrics, and what of an answer can be believed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from enova.core.engine.snapshot import GROWING
from enova.core.ledger.window import Look
from enova.core.metrics.series import Key
from enova.core.observed import Unknown

MOST = 2.0**53
"""More than any counter comes to; beyond it a float does not count by ones."""
MOST_REQUESTS = 1e6
"""In one replica at a time."""
FULL = 1.01
"""A little more than all of the cache: what engines say is rounded."""
COUNTED = ("finished", "first_tokens", "prompt_tokens", "output_tokens")
"""Of a replica, without which nothing can be said of it."""
SUM = "sum"


class Page(NamedTuple):
    """A metrics page."""

    text: str
    at_s: float
    """When it was true, on the reader's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One replica or gateway."""

    id: str
    """Another one in its place has another id."""
    name: str
    """`chat#0`, `chat@gateway`."""
    service: str
    gateway: bool
    url: str
    """Of its metrics page."""
    worker_url: str = ""
    """Of a replica, as its gateway calls it."""
    runtime: str = ""
    created_s: float = 0.0
    """Unix time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """What a replica has at a moment."""

    running: float
    waiting: float
    kv_use: float | None
    """Share of the cache that is in use; None: it does not tell."""


def gauges_of(look: Look) -> Gauges | Unknown:
    """Return what the engines of a replica have together; Unknown if one does not tell, or nothing that can be."""
    engines = look.engines.values()
    if not engines:
        return Unknown("it has none of vLLM's metrics")
    for engine in engines:
        lacking = engine.lacks("running", "waiting", *COUNTED)
        if lacking:
            return Unknown(f"its metrics do not tell {', '.join(lacking)}, or not as numbers")
    uses = [engine.kv_usage for engine in engines if engine.kv_usage is not None]
    running, waiting = (sum(getattr(engine, name) for engine in engines) for name in ("running", "waiting"))
    for name, value, most in (
        *((name, getattr(engine, name), MOST_REQUESTS) for engine in engines for name in ("running", "waiting")),
        *(("kv_use", use, FULL) for use in uses),
    ):
        if not 0 <= value <= most:
            return Unknown(f"its metrics say that {name} is {value:g}, which cannot be")
    return Gauges(running=running, waiting=waiting, kv_use=max(uses, default=None))


def counters_of(look: Look) -> dict[Key, float] | Unknown:
    """Return all that a replica counts, by engine and field, and by latency and edge.

    Unknown if a counter is one that no counter can be.
    """
    counters: dict[Key, float] = {}
    for engine, snapshot in look.engines.items():
        for name in GROWING:
            value = getattr(snapshot, name)
            if value is not None:
                counters[engine_group(engine), name] = value
    for metric, histogram in look.histograms.items():
        for edge, count in zip(histogram.edges, histogram.counts, strict=True):
            counters[metric, edge] = count
        counters[metric, SUM] = histogram.total
    return absurd(counters) or counters


def engine_group(engine: str) -> str:
    """Return the group of the counters of an engine, which no latency is called."""
    return f"engine {engine}"


def absurd(counters: Mapping[Key, float]) -> Unknown | None:
    """Return why counters cannot be believed; None: they can."""
    for (_, name), value in counters.items():
        if not 0 <= value <= MOST or math.isnan(value):
            return Unknown(f"its metrics say that {name} is {value:g}, which cannot be")
    return None
