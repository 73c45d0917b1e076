"""What the spec promises its users, and whether a forecast keeps it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from enova.core.simulate.results import Metric, Results
from enova.core.spec.service import Slo


class Promise(NamedTuple):
    """One percentile of one latency and the most it may be."""

    metric: Metric
    statistic: str
    """As in the spec: p95."""
    target_s: float


class Verdict(StrEnum):
    """Whether a promise is kept, given how wrong the forecast may be."""

    KEPT = "kept"
    LIKELY = "likely"
    """The figure keeps it, the end of its band does not."""
    UNLIKELY = "unlikely"
    """The figure breaks it, the better end of its band does not."""
    BROKEN = "broken"


def promises_of(slo: Slo) -> tuple[Promise, ...]:
    """Return all targets on latencies."""
    latencies = {Metric.TTFT: slo.ttft, Metric.TPOT: slo.tpot, Metric.ITL: slo.itl, Metric.E2E: slo.e2e}
    return tuple(
        Promise(metric, statistic, float(target))
        for metric, percentiles in latencies.items()
        for statistic, target in percentiles.targets().items()
    )


def targets_of(promises: Iterable[Promise]) -> dict[Metric, float]:
    """Return what each single request is judged by: of each latency the loosest target, in seconds."""
    targets: dict[Metric, float] = {}
    for promise in promises:
        targets[promise.metric] = max(targets.get(promise.metric, 0.0), promise.target_s)
    return targets


def verdict_of(results: Results, promise: Promise) -> Verdict:
    """Return whether a forecast keeps a promise. If nothing was served, nothing was kept."""
    value, band = results.of(promise.metric, promise.statistic)
    return _verdict(value, band.low, band.high, promise.target_s)


def availability_verdict(results: Results, target: float) -> Verdict:
    """Return whether a forecast answers the promised share of requests, 0 to 1, without an error."""
    value, band = results.availability
    # As much as is promised, to the last request: rounding decides nothing.
    return _verdict(-value, -band.high, -band.low, _ROUNDING - target)


_ROUNDING = 1e-9


def _verdict(value: float, best: float, worst: float, most: float) -> Verdict:
    if math.isnan(value) or most < best:
        return Verdict.BROKEN
    if most < value:
        return Verdict.UNLIKELY
    return Verdict.LIKELY if most < worst else Verdict.KEPT
