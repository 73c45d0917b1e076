"""What is known of a service at a moment: of what decides on it, and of what shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

from enova.core.ledger.histogram import Histogram
from enova.core.metrics.series import Increase
from enova.core.metrics.target import SUM
from enova.core.observed import Unknown
from enova.core.simulate.results import QUANTILES

WINDOWS_S = (60.0, 300.0, 900.0)
LATENCY_WINDOW_S = 300.0

Quantiles = Mapping[str, float]
"""Seconds by `p50`, `p95` and so on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaVitals:
    """One replica. All but its age is Unknown together where it was not seen lately, or cannot be believed."""

    seen_s: float | Unknown
    """Since when this is so: the age of the last good sample, in seconds."""
    running: float | Unknown
    waiting: float | Unknown
    kv_use: float | Unknown
    """Share of the cache that is in use."""
    finished_per_s: float | Unknown
    """Over a minute."""
    ttft: Quantiles | Unknown
    """Over five minutes, as is the next; Unknown also where nothing was answered."""
    tpot: Quantiles | Unknown

    @property
    def seen(self) -> bool:
        """Tell whether what it does is known."""
        return not isinstance(self.running, Unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """One service."""

    at_s: float
    """On a monotonic clock."""
    arrived_per_s: float | Unknown
    """Requests that came to its gateway, between the last two samples."""
    arrived_over: Mapping[float, float | Unknown]
    """The same by the length of a window in seconds, or over as much of it as the gateway was seen for."""
    gateway_seen_s: float | Unknown
    replicas: Mapping[str, ReplicaVitals]
    """By target, of those that run."""
    ttft: Quantiles | Unknown
    """Of all replicas together; Unknown if one of them is."""
    tpot: Quantiles | Unknown

    @property
    def words(self) -> str:
        """Return in a line what goes on."""
        minute = self.arrived_over[WINDOWS_S[0]]
        arrives = "arrivals unknown" if isinstance(minute, Unknown) else f"{minute:.3g} requests/s arrive"
        seen = [one for one in self.replicas.values() if one.seen]
        parts = [arrives, f"{len(seen)} of {len(self.replicas)} replicas seen"]
        if seen:
            running, waiting = (sum(_known(getattr(one, name)) for one in seen) for name in ("running", "waiting"))
            parts.append(f"{running:.0f} running, {waiting:.0f} waiting")
        for name, found in (("TTFT", self.ttft), ("TPOT", self.tpot)):
            if not isinstance(found, Unknown):
                parts.append(f"{name} p95 {found['p95'] * 1e3:.0f} ms")
        return "; ".join(parts)

    @property
    def unseen(self) -> tuple[str, ...]:
        """Return what is not known of whom, and why, in words."""
        found = []
        if isinstance(self.gateway_seen_s, Unknown):
            found.append(f"arrivals are unknown: {self.gateway_seen_s.reason}")
        for name, one in self.replicas.items():
            if isinstance(one.running, Unknown):
                found.append(f"{name}: its load is unknown: {one.running.reason}")
        return tuple(found)


def _known(value: float | Unknown) -> float:
    return 0.0 if isinstance(value, Unknown) else value


def unseen_replica(seen_s: float | Unknown, why: Unknown) -> ReplicaVitals:
    """Return what is known of a replica of which nothing is known now."""
    return ReplicaVitals(
        seen_s=seen_s, running=why, waiting=why, kv_use=why, finished_per_s=why, ttft=why, tpot=why
    )


def histogram_in(increase: Increase, metric: str) -> Histogram | None:
    """Return what came into the histogram of a latency; None: nothing did."""
    cells = {key: count for (group, key), count in increase.counts.items() if group == metric and key != SUM}
    edges = tuple(sorted(edge for edge in cells if isinstance(edge, float)))
    # Looks are not of one instant, so that a bucket may be a little behind the one below.
    counts, most = [], 0.0
    for edge in edges:
        most = max(most, cells[edge])
        counts.append(most)
    return Histogram(edges, tuple(counts), increase.counts.get((metric, SUM), 0.0)) if most else None


def quantiles_of(histograms: Iterable[Histogram | None]) -> Quantiles | Unknown:
    """Return the quantiles of all values together."""
    some = [one for one in histograms if one is not None]
    if not some:
        return Unknown("no request was answered in this time")
    try:
        merged = reduce(add, some)
    except ValueError as error:
        return Unknown(f"its replicas cannot be added up: {error}")
    return {name: merged.quantile(share).value for name, share in QUANTILES.items()}
