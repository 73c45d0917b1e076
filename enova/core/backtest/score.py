"""What a rehearsal came to: promises, cost, and how restless it was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from enova.core.backtest.notes import ARRIVAL, Notes, good_of, latencies
from enova.core.backtest.scene import Scene
from enova.core.simulate.promises import Promise
from enova.core.simulate.replica import Replica
from enova.core.simulate.results import QUANTILES
from enova.core.simulate.statistics import Floats

MINUTE_S = 60.0
FEWEST_IN_MINUTE = 5
"""Requests that a minute needs to be judged by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What became of the traffic. Everything that came counts, from the first second on."""

    requests: int
    good: int
    """That met every target; those lost or rejected did not."""
    unanswered: int
    reasons: Mapping[str, int]
    latencies_s: Mapping[str, float]
    """Every promise by its name, `ttft.p99`, and what came of it; NaN where nothing was served."""
    duration_s: float
    gpu_h: float
    """From the start of a replica to its end, start-up included."""
    usd: float | None
    ups: int
    downs: int
    reversals: int
    """Times that a decision was taken back within the time that a start takes."""
    worst_minute: float
    """Attainment of the worst minute; NaN if none has enough requests."""
    worst_minute_s: float
    """When that minute begins."""
    minutes: Minutes = field(repr=False)

    @property
    def attainment(self) -> float:
        """Return the share of the requests that met every target, 0 to 1; 1 of none."""
        return self.good / self.requests if self.requests else 1.0

    @property
    def goodput_per_s(self) -> float:
        """Return requests/s that met every target."""
        return self.good / self.duration_s if self.duration_s else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Minutes:
    """One entry for each minute."""

    arrived: Floats
    good: Floats
    replicas: Floats
    """Mean number of those that exist, starting ones included."""
    ready: Floats
    """Mean number of those that serve."""


def score_of(
    notes: Notes, replicas: Sequence[Replica], asked: Sequence[tuple[float, int, int]], scene: Scene
) -> Score:
    """Return the score of a rehearsal. `asked`: when, how many replicas there were, how many were wanted."""
    rows = notes.table()
    good = good_of(rows, notes.targets)
    unanswered = np.array(notes.unanswered)
    until_s = scene.until_s
    gpu_s = sum(_span(replica.started_s, replica.stopped_s, until_s) for replica in replicas) * scene.gpus
    minutes = _minutes(rows, good, unanswered, replicas, until_s)
    worst_minute, worst_minute_s = _worst(minutes)
    changes = [(at_s, wanted - up) for at_s, up, wanted in asked]
    return Score(
        requests=len(rows) + len(unanswered),
        good=int(good.sum()),
        unanswered=len(unanswered),
        reasons=dict(sorted(notes.reasons.items())),
        latencies_s={_name(promise): _latency_s(rows, promise) for promise in scene.promises},
        duration_s=until_s,
        gpu_h=gpu_s / 3600,
        usd=None if scene.usd_per_h is None else gpu_s / scene.gpus / 3600 * scene.usd_per_h,
        ups=sum(change > 0 for _, change in changes),
        downs=sum(change < 0 for _, change in changes),
        reversals=_reversals(changes, scene.replica.start_up_s),
        worst_minute=worst_minute,
        worst_minute_s=worst_minute_s,
        minutes=minutes,
    )


def _latency_s(rows: Floats, promise: Promise) -> float:
    values = latencies(rows)[promise.metric]
    values = values[~np.isnan(values)]
    return float(np.quantile(values, QUANTILES[promise.statistic])) if len(values) else math.nan


def _name(promise: Promise) -> str:
    return f"{promise.metric}.{promise.statistic}"


def _span(begin_s: float, end_s: float, until_s: float) -> float:
    return max(0.0, min(end_s, until_s) - begin_s)


def _minutes(
    rows: Floats, good: NDArray[np.bool_], unanswered: Floats, replicas: Sequence[Replica], until_s: float
) -> Minutes:
    edges: Floats = MINUTE_S * np.arange(math.ceil(until_s / MINUTE_S) + 1, dtype=np.float64)
    arrivals = np.concatenate([rows[:, ARRIVAL], unanswered])
    return Minutes(
        arrived=np.histogram(arrivals, edges)[0].astype(np.float64),
        good=np.histogram(rows[good, ARRIVAL], edges)[0].astype(np.float64),
        replicas=_present([(r.started_s, r.stopped_s) for r in replicas], edges),
        ready=_present([(r.first_ready_s, r.stopped_s) for r in replicas], edges),
    )


def _present(spans: Sequence[tuple[float, float]], edges: Floats) -> Floats:
    """Return the mean number of spans that cover each interval."""
    total = np.zeros(len(edges) - 1)
    for begin_s, end_s in spans:
        if begin_s < end_s:
            total += np.diff(np.clip(edges, begin_s, min(end_s, max(begin_s, edges[-1]))))
    return total / MINUTE_S


def _worst(minutes: Minutes) -> tuple[float, float]:
    judged = np.flatnonzero(minutes.arrived >= FEWEST_IN_MINUTE)
    if not len(judged):
        return math.nan, math.nan
    shares = minutes.good[judged] / minutes.arrived[judged]
    place = int(np.argmin(shares))
    return float(shares[place]), float(judged[place] * MINUTE_S)


def _reversals(changes: Sequence[tuple[float, int]], start_up_s: float) -> int:
    return sum(
        (before > 0) != (after > 0) and then_s - at_s < start_up_s
        for (at_s, before), (then_s, after) in pairwise(changes)
    )
