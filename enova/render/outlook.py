"""Forecasts before and after a plan: as lines of a plan, as Markdown, as data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.text import Text

from enova.core.forecast import Forecast
from enova.core.forecast_data import forecast_as_data, rounded
from enova.core.outlook import Outlook, total_of
from enova.core.resolve import Provenance, Resolved
from enova.core.simulate.promises import Verdict
from enova.core.simulate.results import Figure
from enova.render.forecast import rate, seconds
from enova.render.traffic import arrival_words

STYLES = {Verdict.KEPT: "green", Verdict.LIKELY: "green", Verdict.UNLIKELY: "yellow", Verdict.BROKEN: "red"}
_LATENCIES = ("ttft", "tpot", "e2e", "itl")
_PERCENTILES = ("p50", "p90", "p95", "p99", "p99_9")


class Row(NamedTuple):
    """One line of a forecast."""

    name: str
    now: str
    after: str
    band: str
    """Of what is to be."""
    promised: str
    style: str = ""


PLANNED = ("now", "after")
SUPPOSED = ("as written", "what if")
"""Headings of what is compared."""


def outlook_text(text: Text, outlook: Outlook, resolved: Resolved, compared: tuple[str, str] = PLANNED) -> None:
    """Add the lines about what users of a service will see, and what it costs."""
    for line in chosen_lines(resolved):
        text.append(f"  {line}\n", "dim")
    for words in advice_lines(outlook):
        text.append(f"  {words}\n", "dim")
    after = outlook.after
    if after is None:
        return
    text.append(f"  forecast under {_traffic(resolved)}; step times: {after.origin}; bands hold 90 % of cases\n")
    rows = [Row("", *compared, "band", "promised"), *rows_of(outlook)]
    widths = [max(len(str(row[column])) for row in rows) for column in range(5)]
    for row in rows:
        cells = [
            row.name.ljust(widths[0]),
            row.now.rjust(widths[1]),
            row.after.rjust(widths[2]),
            row.band.ljust(widths[3]),
        ]
        figures = f"    {'  '.join(cells)}"
        text.append(figures if row.promised else figures.rstrip(), "dim" if row is rows[0] else "")
        text.append(f"  {row.promised}\n" if row.promised else "\n", "dim" if row is rows[0] else row.style)
    if compared is PLANNED:
        text.append(f"  {closing(outlook)}\n")
    for note in after.notes:
        text.append(f"  {note}\n", "dim")


def chosen_lines(resolved: Resolved) -> Iterator[str]:
    """Yield what was chosen and why, a line each: `replicas: 3 (recommended: the fewest that hold …)`."""
    for choice in resolved.choices:
        if choice.provenance is Provenance.RECOMMENDED:
            why = f": {choice.why}" if choice.why else ""
            yield f"{choice.field}: {choice.value} (recommended{why})"


def advice_lines(outlook: Outlook) -> Iterator[str]:
    """Yield what pins cost, and how long answers should be let get."""
    for field, words in outlook.pins.items():
        yield f"{field} is pinned: {words}"
    caps = [f"{kind}: {tokens}" if kind else str(tokens) for kind, tokens in outlook.max_tokens.items()]
    if caps:
        yield f"max_tokens to ask for: {', '.join(caps)} (holds 99 % of answers; nothing enforces it)"


def rows_of(outlook: Outlook) -> Iterator[Row]:
    """Yield the figures of a forecast that is there, latencies first."""
    now, after = outlook.now, outlook.after
    if after is None:
        return
    promised = {f"{one.promise.metric}.{one.promise.statistic}": one for one in after.expected}
    for name in _in_order(after.figures):
        metric, _, statistic = name.partition(".")
        value, band = after.figures[name]
        one = promised.get(name)
        words = f"{seconds(one.promise.target_s)}: {one.verdict}" if one else ""
        yield Row(
            f"{metric.upper()} {statistic}",
            _latency(now, name),
            seconds(value),
            f"{seconds(band.low)} - {seconds(band.high)}",
            words,
            STYLES[one.verdict] if one else "",
        )
    yield from _shares(now, after)
    yield Row("GPUs", _of(now, _gpus), _gpus(after), "", "")
    yield Row("$/h", _of(now, _usd), _usd(after), "", "")
    yield Row("$/1M tokens", _of(now, _per_million), _per_million(after), "", "")


def closing(outlook: Outlook) -> str:
    """Return how long the change takes, and what users notice of it."""
    words = []
    if outlook.now is None and outlook.now_words != "nothing runs":
        words.append(f"now: {outlook.now_words}")
    if outlook.rollout_s is not None:
        words.append(f"takes about {seconds(outlook.rollout_s)} once image and weights are there")
    words.append("; ".join(outlook.interruptions) or "no request is interrupted")
    return "; ".join(words)


def total_text(outlooks: Sequence[Outlook]) -> str:
    """Return the sum of all services in a line; empty where nothing is forecast."""
    forecast = [outlook for outlook in outlooks if outlook.after is not None]
    if not forecast:
        return ""
    now, after = total_of(outlook.now for outlook in forecast), total_of(outlook.after for outlook in forecast)
    kept = sum(outlook.keeps is True for outlook in forecast)
    judged = sum(outlook.keeps is not None for outlook in forecast)
    slo = f", {kept} of {judged} services keep their promises" if judged else ""
    return (
        f"Forecast: {_dollars(now.usd_per_h)} -> {_dollars(after.usd_per_h)}, {now.gpus} -> {after.gpus} GPUs{slo}"
    )


def what_if_text(outlooks: Sequence[Outlook], resolved: Mapping[str, Resolved]) -> Text:
    """Return a block for each service, of what is written and of what is supposed."""
    text = Text()
    for outlook in outlooks:
        text.append(f"{outlook.service}\n", "bold")
        outlook_text(text, outlook, resolved[outlook.service], SUPPOSED)
        text.append("\n")
    if total := total_text(outlooks):
        text.append(f"{total}\n")
    return text


def what_if_markdown(outlooks: Sequence[Outlook], resolved: Mapping[str, Resolved]) -> str:
    """Return the same for a pull request."""
    lines = [line for one in outlooks for line in outlook_markdown(one, resolved[one.service], SUPPOSED)]
    return "\n".join([*lines, total_text(outlooks)]) + "\n"


def what_if_as_data(
    outlooks: Sequence[Outlook], resolved: Mapping[str, Resolved], changes: Sequence[str]
) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "kind": "WhatIf",
        "schema_version": 1,
        "set": list(changes),
        "services": {
            one.service: {
                "as_written": forecast_as_data(one.now) if one.now else None,
                "what_if": forecast_as_data(one.after) if one.after else None,
                "chosen": {
                    choice.field: choice.value
                    for choice in resolved[one.service].choices
                    if choice.provenance is Provenance.RECOMMENDED
                },
                "pins": dict(one.pins),
            }
            for one in outlooks
        },
        "total": total_as_data(outlooks),
    }


def outlook_markdown(outlook: Outlook, resolved: Resolved, compared: tuple[str, str] = PLANNED) -> list[str]:
    """Return the lines of a section for a pull request."""
    after = outlook.after
    lines = [f"**{outlook.service}**", ""]
    lines += [f"- {line}" for line in (*chosen_lines(resolved), *advice_lines(outlook))]
    if after is None:
        return [*lines, ""]
    lines += ["", f"Forecast under {_traffic(resolved)}; step times: {after.origin}; bands hold 90 % of cases", ""]
    lines += [f"| | {' | '.join(compared)} | band | promised |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.name} | {row.now} | {row.after} | {row.band} | {row.promised} |" for row in rows_of(outlook)
    ]
    if compared is PLANNED:
        lines += ["", closing(outlook)]
    return [*lines, *(f"\n{note}" for note in after.notes), ""]


def outlook_as_data(outlook: Outlook) -> dict[str, Any]:
    """Return it for a plan as JSON."""
    return {
        "now": forecast_as_data(outlook.now) if outlook.now else None,
        "now_unknown": None if outlook.now else outlook.now_words,
        "after": forecast_as_data(outlook.after) if outlook.after else None,
        "fresh": outlook.fresh,
        "pins": dict(outlook.pins),
        "max_tokens": dict(outlook.max_tokens),
        "rollout_s": rounded(outlook.rollout_s),
        "interruptions": list(outlook.interruptions),
    }


def total_as_data(outlooks: Sequence[Outlook]) -> dict[str, Any]:
    """Return the sums before and after."""
    sums = {
        "now": total_of(outlook.now for outlook in outlooks),
        "after": total_of(outlook.after for outlook in outlooks),
    }
    return {name: {"usd_per_h": rounded(total.usd_per_h), "gpus": total.gpus} for name, total in sums.items()}


def _traffic(resolved: Resolved) -> str:
    arrival = resolved.written.injection.arrival
    return arrival_words(arrival) if arrival is not None else "no traffic"


def _in_order(figures: Mapping[str, Figure]) -> list[str]:
    shown = [f"{metric}.{statistic}" for metric in _LATENCIES for statistic in _PERCENTILES]
    return [name for name in shown if name in figures]


def _shares(now: Forecast | None, after: Forecast) -> Iterator[Row]:
    def share(forecast: Forecast) -> str:
        return f"{100 * forecast.figures['goodput.share'].value:.1f} %" if _has_goodput(forecast) else "-"

    if _has_goodput(after):
        band = after.figures["goodput.share"].band
        yield Row("goodput", _of(now, share), share(after), f"{100 * band.low:.0f} - {100 * band.high:.0f} %", "")
    served = "requests_per_s"
    band = after.figures[served].band
    yield Row(
        "requests/s",
        rate(now.figures[served].value) if now else "-",
        rate(after.figures[served].value),
        f"{rate(band.low)} - {rate(band.high)}",
        "",
    )
    yield Row("busy", _of(now, lambda one: f"{one.utilisation:.0%}"), f"{after.utilisation:.0%}", "", "")
    yield Row("KV cache in use", _of(now, _kv), _kv(after), "", "")


def _has_goodput(forecast: Forecast) -> bool:
    return "goodput.share" in forecast.figures


def _latency(forecast: Forecast | None, name: str) -> str:
    return seconds(forecast.figures[name].value) if forecast is not None and name in forecast.figures else "-"


def _of(forecast: Forecast | None, words: Any) -> str:
    return "-" if forecast is None else str(words(forecast))


def _gpus(forecast: Forecast) -> str:
    return f"{forecast.gpus} {forecast.gpu}" if forecast.gpus else forecast.gpu


def _usd(forecast: Forecast) -> str:
    return "unknown" if forecast.usd_per_h is None else f"{forecast.usd_per_h:.2f}"


def _per_million(forecast: Forecast) -> str:
    return "unknown" if forecast.usd_per_million_tokens is None else f"{forecast.usd_per_million_tokens:.2f}"


def _kv(forecast: Forecast) -> str:
    return "-" if math.isnan(forecast.kv_use) else f"{forecast.kv_use:.0%}"


def _dollars(usd: float | None) -> str:
    return "unknown $/h" if usd is None else f"{usd:.2f} $/h"
