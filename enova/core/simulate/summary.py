"""From what a collector saw to Results: every figure with its band of simulation noise and model error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from enova.core.simulate.batches import Batch, Batches
from enova.core.simulate.collector import Collector, PerKind
from enova.core.simulate.results import (
    NO_ERROR,
    QUANTILES,
    Band,
    ClassResults,
    Figure,
    Goodput,
    Latency,
    Metric,
    Results,
)
from enova.core.simulate.statistics import Distribution, Floats

PILED_UP = 0.1
"""Share of a run that may pass between the last arrival and the last answer before requests count as piled up."""


class Work(NamedTuple):
    """What the engines of a fleet did, all together."""

    busy_s: float
    present_s: float
    """Time they were there, busy or not."""
    preemptions: int


def results_of(collector: Collector, work: Work, others: Sequence[Results] = ()) -> Results:
    """Return the results of a run that is over.

    `others` are results of the same load with step times that may as well be the true ones; bands reach them.
    """
    collector.flush()
    batches, whole = collector.batches, collector.batches.whole()
    duration_s = max(0.0, whole.until_s - collector.warmup_s)
    refused = sum(collector.reasons.values())
    judged = whole.judged + refused
    rates = _rates(collector, batches, whole, duration_s, others)
    goodput = None
    if collector.targets:
        rate = judged / duration_s if duration_s else 0.0
        found = [other.goodput for other in others]
        goodput = _goodput(whole.good / max(1, judged), batches.goodput_margin(), rate, found)
    return Results(
        origin=collector.origin,
        warmup_s=collector.warmup_s,
        duration_s=duration_s,
        served=whole.judged,
        rejected=refused - collector.losses,
        lost=collector.losses,
        reasons=dict(collector.reasons),
        latencies={
            metric: _latency(
                collector,
                batches,
                metric,
                whole.latencies[metric],
                others=[other.latencies[metric] for other in others],
            )
            for metric in Metric
        },
        requests_per_s=rates[0],
        prompt_tokens_per_s=rates[1],
        output_tokens_per_s=rates[2],
        goodput=goodput,
        utilisation=work.busy_s / work.present_s if work.present_s else 0.0,
        cached_share=whole.cached_tokens / whole.done[1] if whole.done[1] else 0.0,
        kv_use_mean=collector.timeline.kv_use_mean(collector.warmup_s),
        kv_use_highest=collector.timeline.kv_use_highest,
        preemptions=work.preemptions,
        classes={
            kind: _class(
                collector,
                whole,
                collector.per_kind[which],
                duration_s,
                [other.classes[kind] for other in others if kind in other.classes],
            )
            for kind, which in sorted(collector.kinds.items())
            if kind
        },
        series=collector.timeline.series(),
        records=collector.records(),
    )


def _latency(
    collector: Collector,
    batches: Batches,
    metric: Metric,
    whole: Distribution,
    part: Distribution | None = None,
    *,
    others: Sequence[Latency],
) -> Latency:
    """Return one latency of all requests, or of the part of them that a class is.

    A part's noise is that of the whole, grown as if by its smaller number of equally dependent requests.
    """
    shown = whole if part is None else part
    if not shown.weight:
        return _NOTHING
    growth = math.sqrt(whole.weight / shown.weight)

    def figure(statistic: str, value: float, low: float, high: float) -> Figure:
        error = collector.error.of(collector.origin, metric, statistic)
        found = [other.of(statistic).value for other in others]
        return Figure(value, Band(min(value, max(0.0, low)), max(value, high)).widened(value, error, found))

    quantiles = {}
    for name, share in QUANTILES.items():
        margin = growth * batches.share_margin(metric, whole.quantile(share))
        ends = shown.quantile(share - margin), shown.quantile(share + margin)
        quantiles[name] = figure(name, shown.quantile(share), *ends)
    margin = growth * batches.mean_margin(metric) * (shown.mean / whole.mean if whole.mean else 0.0)
    mean = figure("mean", shown.mean, shown.mean - margin, shown.mean + margin)
    return Latency(count=round(shown.weight), mean=mean, **quantiles, highest=shown.highest)


_NO_FIGURE = Figure(math.nan, Band(math.nan, math.nan))
_NOTHING = Latency(count=0, mean=_NO_FIGURE, **dict.fromkeys(QUANTILES, _NO_FIGURE), highest=math.nan)


def _rates(
    collector: Collector, batches: Batches, whole: Batch, duration_s: float, others: Sequence[Results]
) -> list[Figure]:
    """Return requests, prompt tokens and output tokens per second.

    While requests come, if that is long enough: what is still to be done then says nothing about a rate. For
    closed loops and short runs as benchmarks have it: all that was done, over the time until the last answer.

    The error of the model is in them only where the fleet decides on them: in a closed loop, or where requests
    pile up so that the last ones take long after they came. Else what comes is what is served.
    """
    last_arrival_s = collector.timeline.last_arrival_s
    is_limit = collector.closed or whole.until_s - last_arrival_s > PILED_UP * duration_s
    error = collector.error.of(collector.origin, "throughput") if is_limit else NO_ERROR
    overall = whole.done / duration_s if duration_s else np.zeros(3)
    steady = None if collector.closed else collector.timeline.rates(collector.warmup_s, last_arrival_s)
    margins = batches.rate_margins(collector.warmup_s)
    found = [
        [getattr(other, name).value for other in others]
        for name in ("requests_per_s", "prompt_tokens_per_s", "output_tokens_per_s")
    ]
    figures = []
    rates = overall if steady is None else steady
    for rate, all_in_all, margin, seen in zip(rates, overall, margins, found, strict=True):
        noise = float(margin / all_in_all * rate) if all_in_all else 0.0
        band = Band(max(0.0, float(rate) - noise), float(rate) + noise)
        figures.append(Figure(float(rate), band.widened(float(rate), error, seen)))
    return figures


def _goodput(shares: Floats, margin: float, judged_per_s: float, others: Sequence[Goodput | None]) -> Goodput:
    """Return goodput from its shares as predicted, at the high and at the low end of error."""
    value, worst, best = shares.tolist()
    known = [other.share.value for other in others if other is not None]
    worst, best = min([worst, *known]), max([best, *known])
    low, high = value - math.hypot(margin, value - worst), value + math.hypot(margin, best - value)
    share = Figure(value, Band(max(0.0, low), min(1.0, high)))
    per_s = Figure(value * judged_per_s, Band(share.band.low * judged_per_s, share.band.high * judged_per_s))
    return Goodput(share=share, per_s=per_s)


def _class(
    collector: Collector, whole: Batch, kind: PerKind, duration_s: float, others: Sequence[ClassResults]
) -> ClassResults:
    batches, judged = collector.batches, kind.served + kind.rejected
    goodput = None
    if collector.targets:
        growth = math.sqrt(whole.judged / kind.served) if kind.served else 0.0
        rate = judged / duration_s if duration_s else 0.0
        found = [other.goodput for other in others]
        goodput = _goodput(kind.good / max(1, judged), growth * batches.goodput_margin(), rate, found)
    latencies: dict[Metric, Latency] = {
        metric: _latency(
            collector,
            batches,
            metric,
            whole.latencies[metric],
            kind.latencies[metric],
            others=[other.latencies[metric] for other in others],
        )
        for metric in Metric
        if metric is not Metric.ITL
    }
    return ClassResults(served=kind.served, rejected=kind.rejected, latencies=latencies, goodput=goodput)
