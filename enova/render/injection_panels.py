"""The panels of a run's picture: the run over time, latencies as lines of percentiles; and of a sweep's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from enova.core.inject.sweep import Tried
from enova.core.simulate.results import Metric, Results
from enova.core.workload.report import REPORTED, Foretold, InjectionReport, OverTime, Seen
from enova.render.injection import NAMES
from enova.render.panels import BLUE, GREEN, INK, ORANGE, PURPLE, RED, Panel, labelled, plain_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}
_COLOURS = {"ttft": BLUE, "tpot": ORANGE, "itl": PURPLE, "e2e": GREEN}
_OVER_TIME = (("ttft_p50", "TTFT p50", BLUE), ("ttft_p95", "TTFT p95", ORANGE), ("e2e_p95", "E2E p95", GREEN))
_PREDICTED = {"color": INK, "linestyle": "--", "linewidth": 1.2}


def run_panels(report: InjectionReport) -> list[Panel]:
    """Return what draws each panel of a run."""
    panels: list[Panel] = []
    over_time = report.found.over_time
    foretold = None if report.predicted is None else report.predicted.over_time
    if over_time is not None:
        panels += [
            lambda axis: _requests_over_time(axis, over_time, foretold, report.sent.warmup_s),
            lambda axis: _latency_over_time(axis, over_time, report),
        ]
    seen = report.found.seen
    known = [metric for metric in REPORTED if getattr(seen, metric).figures()]
    return [*panels, *(_percentiles(report, metric) for metric in known)]


def sweep_panels(tried: Sequence[Tried], predicted: Sequence[tuple[float, Results]]) -> list[Panel]:
    """Return what draws each panel of a sweep: what was measured, and the simulator's curve behind it."""
    metrics = (Metric.TTFT, Metric.TPOT, Metric.E2E)
    return [*(_over_rate(tried, predicted, metric) for metric in metrics), _throughput(tried, predicted)]


def _requests_over_time(axis: Axes, over_time: OverTime, foretold: Foretold | None, warmup_s: float) -> None:
    for name, colour in (("due", INK), ("sent", BLUE), ("answered", GREEN)):
        rates = np.array(getattr(over_time, name)) / over_time.interval_s
        axis.plot(_times(over_time), rates, color=colour, label=name)
    if foretold is not None:
        times = [(place + 0.5) * foretold.interval_s for place in range(len(foretold.answered))]
        answered = np.array(foretold.answered) / foretold.interval_s
        axis.plot(times, answered, label="answered, predicted", **_PREDICTED)  # type: ignore[arg-type]
    if any(over_time.failed):
        failed = np.array(over_time.failed) / over_time.interval_s
        axis.bar(_times(over_time), failed, over_time.interval_s, color=RED, alpha=0.5, label="failed")
    _warm_up(axis, warmup_s)
    axis.set_ylim(bottom=0)
    labelled(axis, "Requests over time", "s", "1/s")


def _latency_over_time(axis: Axes, over_time: OverTime, report: InjectionReport) -> None:
    for name, words, colour in _OVER_TIME:
        values = [np.nan if value is None else 1e3 * value for value in getattr(over_time, name)]
        axis.plot(_times(over_time), values, color=colour, label=words, marker=".", markersize=3)
    for promise in report.slo:
        if (promise.metric, promise.statistic) in (("ttft", "p50"), ("ttft", "p95"), ("e2e", "p95")):
            axis.axhline(1e3 * promise.target, color=RED, linestyle=":", linewidth=1.2)
    _warm_up(axis, report.sent.warmup_s)
    _log_if_possible(axis)
    labelled(axis, "Latency from the schedule, by when requests were due", "s", "ms")


def _percentiles(report: InjectionReport, metric: str) -> Panel:
    """Return the panel of one latency: measured with its ends, and predicted with its band."""

    def panel(axis: Axes) -> None:
        seen: Seen = getattr(report.found.seen, metric)
        _quantiles(axis, seen, color=_COLOURS[metric], label="measured", marker="o", markersize=4)
        if report.predicted is not None:
            _quantiles(axis, getattr(report.predicted, metric), label="predicted", **_PREDICTED)
        for promise in report.slo:
            if promise.metric == metric and promise.statistic in _SHARES:
                axis.plot(_SHARES[promise.statistic], 1e3 * promise.target, marker="v", color=RED, markersize=8)
        axis.set_ylim(bottom=0)
        labelled(axis, f"{NAMES[metric]}, with 90 % ends; promises as triangles", "percentile", "ms")

    return panel


def _quantiles(axis: Axes, seen: Seen, **style: object) -> None:
    known = [(share, name) for name, share in _SHARES.items() if getattr(seen, name) is not None]
    shares = [share for share, _ in known]
    axis.plot(shares, [1e3 * getattr(seen, name) for _, name in known], **style)  # type: ignore[arg-type]
    ends = [seen.ends.get(name) for _, name in known]
    if all(end is not None for end in ends):
        low, high = np.array(ends, dtype=float).T
        axis.fill_between(shares, 1e3 * low, 1e3 * high, color=str(style["color"]), alpha=0.12, linewidth=0)


def _over_rate(tried: Sequence[Tried], predicted: Sequence[tuple[float, Results]], metric: Metric) -> Panel:
    def panel(axis: Axes) -> None:
        for statistic, colour in (("p50", BLUE), ("p95", ORANGE)):
            points = [(one.rate, _seen(one, metric)) for one in sorted(tried)]
            known = [(rate, seen) for rate, seen in points if getattr(seen, statistic) is not None]
            values = np.array([1e3 * getattr(seen, statistic) for _, seen in known])
            ends = [seen.ends.get(statistic, (getattr(seen, statistic),) * 2) for _, seen in known]
            low, high = 1e3 * np.array(ends).reshape(-1, 2).T
            spread = np.maximum(0.0, [values - low, high - values])
            rates = [rate for rate, _ in known]
            axis.errorbar(rates, values, yerr=spread, color=colour, marker="o", ms=4, capsize=2, label=statistic)
            if predicted:
                figures = [results.of(metric, statistic) for _, results in predicted]
                foretold = [rate for rate, _ in predicted]
                label = f"{statistic} predicted"
                axis.plot(
                    foretold, [1e3 * one.value for one in figures], color=colour, linestyle="--", label=label
                )
                bands = 1e3 * np.array([one.band[:2] for one in figures])
                axis.fill_between(foretold, bands[:, 0], bands[:, 1], color=colour, alpha=0.12, linewidth=0)
        promises = [promise for one in tried for promise in one.report.slo]
        for target in sorted({promise.target for promise in promises if promise.metric == metric}):
            axis.axhline(1e3 * target, color=RED, linestyle=":", linewidth=1.2)
        _log_if_possible(axis)
        labelled(axis, f"{NAMES[metric]} over rate", "requests/s", "ms")

    return panel


def _throughput(tried: Sequence[Tried], predicted: Sequence[tuple[float, Results]]) -> Panel:
    def panel(axis: Axes) -> None:
        known = [(one.rate, one.report.found.output_tokens_per_s) for one in sorted(tried)]
        points = [(rate, tokens) for rate, tokens in known if tokens is not None]
        axis.plot(*zip(*points, strict=True), color=BLUE, marker="o", ms=4, label="measured")
        if predicted:
            tokens = [results.output_tokens_per_s.value for _, results in predicted]
            axis.plot([rate for rate, _ in predicted], tokens, label="predicted", **_PREDICTED)  # type: ignore[arg-type]
        axis.set_ylim(bottom=0)
        labelled(axis, "Throughput over rate", "requests/s", "output tokens/s")

    return panel


def _seen(one: Tried, metric: Metric) -> Seen:
    seen: Seen = getattr(one.report.found.seen, metric)
    return seen


def _times(over_time: OverTime) -> list[float]:
    return [(place + 0.5) * over_time.interval_s for place in range(len(over_time.due))]


def _warm_up(axis: Axes, until_s: float) -> None:
    if until_s:
        axis.axvspan(0, until_s, color=INK, alpha=0.06, linewidth=0, label="warm-up")


def _log_if_possible(axis: Axes) -> None:
    """Without a delay to show there is nothing that a logarithm could be taken of."""
    if axis.dataLim.y1 > 0:
        axis.set_yscale("log")
        plain_log(axis)
