"""The panels of a forecast's picture: latency, throughput and use over rate, and the run over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from enova.core.simulate.promises import Promise
from enova.core.simulate.results import Figure, Metric, Results, Series
from enova.core.simulate.statistics import Floats
from enova.render.forecast import NAMES, Forecast, promise_words, rate, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panel = Callable[["Axes"], None]

INK, GRID = "#24292f", "#d8dee4"
BLUE, ORANGE, GREEN, PURPLE, RED = "#0969da", "#d4710a", "#1a7f64", "#8250df", "#cf222e"
"""Told apart by people with any kind of colour vision; red is for limits only."""
_STATISTICS = (("p50", BLUE), ("p95", ORANGE), ("p99", PURPLE))


def panels_of(forecast: Forecast) -> list[Panel]:
    """Return what draws each panel, in reading order: what was swept, or else the latencies; then the run."""
    panels: list[Panel] = []
    if forecast.sweep:
        panels += [
            lambda axis: _latency_over_rate(axis, forecast, Metric.TTFT),
            lambda axis: _latency_over_rate(axis, forecast, Metric.TPOT),
            lambda axis: _throughput_over_rate(axis, forecast),
            lambda axis: _goodput_over_rate(axis, forecast),
        ]
    panels.append(lambda axis: _percentiles(axis, forecast.results))
    series = forecast.results.series
    if series is not None and not np.isnan(series.running).all():
        panels += [
            lambda axis: _batch_over_time(axis, series),
            lambda axis: _kv_over_time(axis, series),
            lambda axis: _throughput_over_time(axis, series),
        ]
    return panels


def labelled(axis: Axes, title: str, x: str, y: str) -> None:
    """Name a panel and its axes, and explain its lines where they have names."""
    axis.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    if y in ("tokens/s", "requests"):
        axis.yaxis.set_major_formatter(_plain)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False, fontsize=8, loc="best")


def _latency_over_rate(axis: Axes, forecast: Forecast, metric: Metric) -> None:
    for statistic, colour in _STATISTICS:
        figures = [results.of(metric, statistic) for _, results in forecast.sweep]
        _line(axis, forecast, figures, colour, statistic, scale=1e3)
    _limits(axis, [promise for promise in forecast.conditions.promises if promise.metric is metric])
    _capacity(axis, forecast)
    axis.set_yscale("log")
    plain_log(axis)
    labelled(axis, f"{NAMES[metric]} over rate, with 90 % bands", "requests/s", "ms")


def _throughput_over_rate(axis: Axes, forecast: Forecast) -> None:
    figures = [results.output_tokens_per_s for _, results in forecast.sweep]
    _line(axis, forecast, figures, BLUE, "output tokens/s")
    _capacity(axis, forecast)
    axis.set_ylim(bottom=0)
    labelled(axis, "Throughput over rate", "requests/s", "tokens/s")


def _goodput_over_rate(axis: Axes, forecast: Forecast) -> None:
    """Requests that meet every target; without targets, how busy engines and caches are."""
    rates = [offered for offered, _ in forecast.sweep]
    if forecast.results.goodput is not None:
        figures = [results.goodput.share for _, results in forecast.sweep if results.goodput is not None]
        _line(axis, forecast, figures, GREEN, "meet every target", scale=100)
    kv_use = np.array([results.kv_use_mean for _, results in forecast.sweep])
    axis.plot(rates, 100 * kv_use, color=PURPLE, marker="o", ms=3, label="KV cache full")
    _capacity(axis, forecast)
    axis.set_ylim(0, 103)
    labelled(axis, "Goodput and KV cache over rate", "requests/s", "%")


def _percentiles(axis: Axes, results: Results) -> None:
    """Each latency as a line of percentiles with their bands, on one scale."""
    metrics = [metric for metric in Metric if results.latencies[metric].count]
    for row, metric in enumerate(reversed(metrics)):
        for shift, (statistic, colour) in zip((0.22, 0.0, -0.22), _STATISTICS, strict=True):
            value, (low, high, _) = results.of(metric, statistic)
            axis.plot([1e3 * low, 1e3 * high], [row + shift] * 2, color=colour, linewidth=5, alpha=0.25)
            label = statistic if row == 0 else None
            axis.plot(1e3 * value, row + shift, "o", ms=4.5, color=colour, label=label)
            axis.annotate(
                seconds(value), (1e3 * value, row + shift), (6, -3), textcoords="offset points", fontsize=7
            )
    axis.set_yticks(range(len(metrics)), [NAMES[metric] for metric in reversed(metrics)])
    axis.set_xscale("symlog", linthresh=1.0)
    axis.margins(x=0.14)
    axis.set_xlim(left=0)
    axis.xaxis.set_major_formatter(_plain)
    labelled(axis, "Latencies of the run, with 90 % bands", "ms", "")


def _batch_over_time(axis: Axes, series: Series) -> None:
    times, unit = _times(series)
    axis.plot(times, series.running, color=BLUE, linewidth=1.2, label="running")
    axis.plot(times, series.waiting, color=ORANGE, linewidth=1.2, label="waiting")
    if np.nanmax(series.replicas) > np.nanmin(series.replicas):
        axis.plot(times, series.replicas, color=GREEN, linewidth=1.2, drawstyle="steps-mid", label="replicas")
    axis.set_ylim(0, 1.25 * axis.get_ylim()[1])
    labelled(axis, "Requests in the engines", unit, "requests")


def _kv_over_time(axis: Axes, series: Series) -> None:
    times, unit = _times(series)
    axis.fill_between(times, 100 * series.kv_use, color=PURPLE, alpha=0.2, linewidth=0)
    axis.plot(times, 100 * series.kv_use, color=PURPLE, linewidth=1.2)
    axis.set_ylim(0, max(5.0, min(103.0, 120 * float(np.nanmax(series.kv_use)))))
    labelled(axis, "KV cache in use", unit, "%")


def _throughput_over_time(axis: Axes, series: Series) -> None:
    """Per second, smoothed over a hundredth of the run."""
    times, unit = _times(series)
    width = max(1, len(times) // 100)
    window = np.ones(width)
    # At the ends there is less than a whole window to average over.
    tokens, intervals = (np.convolve(part, window, "same") for part in (series.output_tokens, np.ones(len(times))))
    axis.plot(times, tokens / intervals / series.interval_s, color=BLUE, linewidth=1.2, label="output tokens/s")
    axis.set_ylim(bottom=0)
    labelled(axis, "Throughput", unit, "tokens/s")


def _times(series: Series) -> tuple[Floats, str]:
    times = (np.arange(len(series.served)) + 0.5) * series.interval_s
    units = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
    size, unit = next((scale for scale in units if times[-1] >= 5 * scale[0]), units[-1])
    return np.asarray(times / size, dtype=np.float64), f"time ({unit})"


def _line(
    axis: Axes, forecast: Forecast, figures: Sequence[Figure], colour: str, label: str, *, scale: float = 1.0
) -> None:
    """Draw figures over the rates swept, with their bands."""
    rates = [offered for offered, _ in forecast.sweep]
    values = scale * np.array([(figure.value, figure.band.low, figure.band.high) for figure in figures]).T
    axis.plot(rates, values[0], color=colour, marker="o", ms=3, label=label)
    axis.fill_between(rates, values[1], values[2], color=colour, alpha=0.15, linewidth=0)


def _limits(axis: Axes, promises: Sequence[Promise]) -> None:
    for promise in promises:
        axis.axhline(
            1e3 * promise.target_s, color=RED, linestyle="--", linewidth=1.1, label=promise_words(promise)
        )


def _capacity(axis: Axes, forecast: Forecast) -> None:
    if forecast.capacity is not None:
        capacity = forecast.capacity.rate
        axis.axvline(
            capacity.value, color=INK, linestyle=":", linewidth=1.2, label=f"capacity {rate(capacity.value)}/s"
        )
        axis.axvspan(capacity.band.low, capacity.band.high, color=INK, alpha=0.06, linewidth=0)


def _plain(value: float, _position: object = None) -> str:
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}"


def plain_log(axis: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
    axis.yaxis.set_major_formatter(_plain)
    axis.yaxis.set_minor_formatter(NullFormatter())
