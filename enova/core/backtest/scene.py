"""What a scaling law is rehearsed on: a service, its traffic, and what goes wrong meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from enova.core.simulate.changes import USUAL_RETRIES, Hold, Retries
from enova.core.simulate.promises import Promise
from enova.core.simulate.replica import ReplicaSetup
from enova.core.workload.request import Request

HOLD = Hold(1000, 600.0)
"""What the gateway holds while nothing serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a law is rehearsed on."""

    replica: ReplicaSetup
    """With its start-up time."""
    requests: Callable[[], Iterable[Request]]
    """The traffic, by arrival; the same whenever it is asked for."""
    until_s: float
    """When the traffic ends: replicas are paid for until then."""
    promises: tuple[Promise, ...]
    first: int = 1
    """Replicas that serve at the beginning."""
    most: int | None = None
    routing: str = "power_of_two"
    retries: Retries = USUAL_RETRIES
    hold: Hold = HOLD
    scrape_delay_s: float = 1.0
    """From a look until what was decided on it takes effect; less than `INTERVAL_S`."""
    blind: tuple[tuple[float, float], ...] = ()
    """From when to when, in seconds, no scrape succeeds."""
    failures_per_h: float = 0.0
    """Of one replica; each starts again by itself."""
    seed: int = 0
    gpus: int = 1
    """Of one replica."""
    usd_per_h: float | None = None
    """Of one replica."""
