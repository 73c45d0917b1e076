"""A forecast for people: what users would see, each figure with its band, and whether promises are kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rich.text import Text

from enova.core.engine.setup import EngineSetup
from enova.core.simulate.capacity import Capacity
from enova.core.simulate.forecast import Conditions
from enova.core.simulate.promises import Promise, Verdict, availability_verdict, verdict_of
from enova.core.simulate.results import Band, ClassResults, Figure, Latency, Metric, Results
from enova.core.workload.load import Load
from enova.render.traffic import traffic_parts


class Forecast(NamedTuple):
    """One service on one kind of GPU, and what is to be expected of it."""

    service: str | None
    """None: it is of no spec."""
    setup: EngineSetup
    replicas: int
    load: Load
    conditions: Conditions
    results: Results
    capacity: Capacity | None
    sweep: tuple[tuple[float, Results], ...]
    """Results by rate, if asked for."""
    notes: tuple[str, ...]


NAMES = {Metric.TTFT: "TTFT", Metric.TPOT: "TPOT", Metric.ITL: "ITL", Metric.E2E: "E2E", Metric.QUEUE: "queue"}
COLUMNS = ("mean", "p50", "p90", "p95", "p99")
_VERDICTS = {
    Verdict.KEPT: "green",
    Verdict.LIKELY: "green",
    Verdict.UNLIKELY: "yellow",
    Verdict.BROKEN: "red",
}


_UNITS = {"h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6}


def forecasts_text(forecasts: Sequence[Forecast]) -> Text:
    """Return a block for each forecast."""
    text = Text()
    for forecast in forecasts:
        _one(text, forecast)
    return text


def engine_words(setup: EngineSetup, replicas: int) -> str:
    """Return what serves: `2 replicas of 4 x h100-sxm (TP4), vLLM 0.32`."""
    parts = (("TP", setup.tensor_parallel), ("PP", setup.pipeline_parallel), ("DP", setup.data_parallel))
    split = " ".join(f"{name}{size}" for name, size in parts if size > 1) + (
        " EP" if setup.expert_parallel else ""
    )
    gpus = setup.gpu.name if setup.gpus == 1 else f"{setup.gpus} x {setup.gpu.name} ({split})"
    many = f"{replicas} replicas of " if replicas > 1 else ""
    return f"{many}{gpus}, vLLM {setup.vllm[0]}.{setup.vllm[1]}"


def seconds(value: float) -> str:
    """Return a time in the unit people would use: `850 us`, `12.3 ms`, `1.24 s`, `3.5 min`."""
    if math.isnan(value):
        return "-"
    for unit, size in _UNITS.items():
        if value >= (10 * size if unit in ("h", "min") else size):
            return f"{_three_digits(value / size)} {unit}"
    return "0 ms"


def rate(value: float) -> str:
    """Return a rate with three digits: `9.98`, `2,090`."""
    return "-" if math.isnan(value) else _three_digits(value)


def _one(text: Text, forecast: Forecast) -> None:
    setup, results = forecast.setup, forecast.results
    if forecast.service:
        text.append(f"{forecast.service}: ")
    text.append(setup.model.name, "bold").append(f" on {engine_words(setup, forecast.replicas)}\n")
    for index, words in enumerate(traffic_parts(forecast.load)):
        _line(text, "" if index else "traffic", words)
    _line(text, "counted", _counted(results))
    level = results.requests_per_s.band.level
    _line(text, "step times", f"{results.origin}; bands hold {100 * level:.0f} % of cases")
    text.append("\n")
    _latencies(text, {NAMES[metric]: latency for metric, latency in results.latencies.items()})
    _line(text, "throughput", _throughput(results))
    if results.goodput is not None:
        share = results.goodput.share
        words = f"{_share(share.value)} of requests meet every target ({_share_band(share.band)})"
        _line(text, "goodput", f"{words}, {rate(results.goodput.per_s.value)}/s")
    _line(text, "engines", _engines(results))
    for promise in forecast.conditions.promises:
        _promise(text, results, promise)
    if forecast.conditions.availability is not None:
        _availability(text, results, forecast.conditions.availability)
    if forecast.capacity is not None:
        _line(text, "capacity", _capacity(forecast.capacity))
    text.append("\n")
    for name, kind in results.classes.items():
        text.append(f"  {name}", "bold").append(f": {kind.served:,} requests{_class_goodput(kind)}\n")
        _latencies(text, {NAMES[metric]: latency for metric, latency in kind.latencies.items()})
    if forecast.sweep:
        _sweep(text, forecast)
    for note in forecast.notes:
        text.append("  note: ", "cyan").append(f"{note}\n")
    if forecast.notes:
        text.append("\n")


def _line(text: Text, name: str, words: str) -> None:
    text.append(f"  {name:<12}", "dim").append(f"{words}\n")


def _counted(results: Results) -> str:
    words = [f"{results.served:,} requests in {seconds(results.duration_s)}"]
    if results.warmup_s:
        words.append(f"after {seconds(results.warmup_s)} of warm-up")
    return ", ".join([*words, *(f"{count:,} not served: {reason}" for reason, count in results.reasons.items())])


def _latencies(text: Text, latencies: Mapping[str, Latency]) -> None:
    """Two lines for each latency: the figures, and their bands below them."""
    rows = [["", *COLUMNS]]
    for name, latency in latencies.items():
        figures = [latency.of(column) for column in COLUMNS]
        rows.append([name, *(seconds(figure.value) for figure in figures)])
        rows.append(["", *(_span(figure) for figure in figures)])
    _table(text, [row for row in rows if any(row)], dim=lambda row: not row[0])


def _table(text: Text, rows: Sequence[Sequence[str]], *, dim: Callable[[Sequence[str]], bool]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        line = "   ".join([row[0].ljust(widths[0]), *cells]).rstrip()
        text.append(f"  {line}\n", "dim" if dim(row) else "")
    text.append("\n")


def _span(figure: Figure) -> str:
    """Return a band in the unit of its figure: `67.1-72.9`."""
    unit = seconds(figure.value).partition(" ")[2]
    size = _UNITS.get(unit, math.nan)
    low, high = (_three_digits(end / size) for end in figure.band[:2])
    return "" if math.isnan(size) else low if low == high else f"{low}-{high}"


def _throughput(results: Results) -> str:
    requests, output = results.requests_per_s, results.output_tokens_per_s
    return (
        f"{rate(requests.value)} requests/s ({_rate_band(requests.band)}), "
        f"{rate(output.value)} output tokens/s ({_rate_band(output.band)}), "
        f"{rate(results.prompt_tokens_per_s.value)} prompt tokens/s"
    )


def _engines(results: Results) -> str:
    words = [f"busy {_share(results.utilisation)} of the time"]
    if not math.isnan(results.kv_use_mean):
        words.append(f"KV cache {_share(results.kv_use_mean)} full, at most {_share(results.kv_use_highest)}")
    if results.cached_share:
        words.append(f"{_share(results.cached_share)} of prompt tokens found in it")
    words.append(f"{results.preemptions:,} preemption{'' if results.preemptions == 1 else 's'}")
    return ", ".join(words)


def _promise(text: Text, results: Results, promise: Promise) -> None:
    verdict = verdict_of(results, promise)
    figure = results.of(promise.metric, promise.statistic)
    text.append(f"  {'promise':<12}", "dim")
    text.append(f"{promise_words(promise)}: ").append(str(verdict), _VERDICTS[verdict])
    text.append(f" ({seconds(figure.value)}, {_span(figure)})\n" if results.served else " (nothing was served)\n")


def _availability(text: Text, results: Results, target: float) -> None:
    verdict = availability_verdict(results, target)
    text.append(f"  {'promise':<12}", "dim")
    text.append(f"availability >= {_exact_share(target)}: ").append(str(verdict), _VERDICTS[verdict])
    text.append(f" ({_exact_share(results.availability.value)} answered without an error)\n")


def promise_words(promise: Promise) -> str:
    """Return `TTFT p95 <= 500 ms`."""
    return f"{NAMES[promise.metric]} {promise.statistic} <= {seconds(promise.target_s)}"


def capacity_words(capacity: Capacity) -> str:
    """Return the rate a fleet can take, with its band."""
    return f"{rate(capacity.rate.value)} requests/s ({_rate_band(capacity.rate.band)})"


def _capacity(capacity: Capacity) -> str:
    if not capacity.first_broken:
        # Nothing it could serve breaks a promise.
        return f"{capacity_words(capacity)}, which is all that can be served"
    what = " and ".join(promise_words(promise) for promise in capacity.first_broken)
    if not capacity.rate.value:
        return f"none: {what} is broken at any rate (served at most: {rate(capacity.saturated)})"
    return f"{capacity_words(capacity)}; above that {what} is broken (served at most: {rate(capacity.saturated)})"


def _class_goodput(kind: ClassResults) -> str:
    return "" if kind.goodput is None else f", {_share(kind.goodput.share.value)} meet every target"


def _sweep(text: Text, forecast: Forecast) -> None:
    rows = [["requests/s", "TTFT p50", "TTFT p95", "TTFT p99", "TPOT p50", "TPOT p99", "tokens/s", "goodput"]]
    for offered, results in forecast.sweep:
        figures = [results.of(metric, name) for metric, name in _SWEPT]
        goodput = "-" if results.goodput is None else _share(results.goodput.share.value)
        tokens = rate(results.output_tokens_per_s.value)
        rows.append([rate(offered), *(seconds(figure.value) for figure in figures), tokens, goodput])
    _table(text, rows, dim=lambda row: row is rows[0])


_SWEPT = (
    (Metric.TTFT, "p50"),
    (Metric.TTFT, "p95"),
    (Metric.TTFT, "p99"),
    (Metric.TPOT, "p50"),
    (Metric.TPOT, "p99"),
)


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _exact_share(value: float) -> str:
    """Return a share close to 1 with all the nines that it has, up to five."""
    return "-" if math.isnan(value) else f"{100 * value:.3f}".rstrip("0").rstrip(".") + " %"


def _share_band(band: Band) -> str:
    return f"{100 * band.low:.1f}-{100 * band.high:.1f}"


def _rate_band(band: Band) -> str:
    return f"{rate(band.low)}-{rate(band.high)}"


def _three_digits(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{digits}f}"
