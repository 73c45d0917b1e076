"""What a search for the highest rate found, rate by rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from enova.core.inject.sweep import Tried, highest_of, limits_of
from enova.core.simulate.results import Metric, Results
from enova.render.forecast import rate, seconds
from enova.render.injection import share
from enova.render.table import table_text

HEADINGS = ("rate", "sent/s", "TTFT p95", "TPOT p95", "E2E p95", "tokens/s", "goodput")
FORETOLD = ("TTFT p95", "TPOT p95", "E2E p95")


def sweep_text(tried: Sequence[Tried], predicted: Sequence[tuple[float, Results]] = ()) -> Text:
    """Return the table, and the highest rate that was kept with what limits it."""
    foretold = dict(predicted)
    headings = [*HEADINGS, *(f"{name} foretold" for name in FORETOLD if foretold), ""]
    ordered = sorted(tried, key=lambda one: one.rate)
    rows = [
        [*_row(one), *(_foretold(foretold.get(one.rate)) if foretold else ()), _verdict(one)] for one in ordered
    ]
    text = table_text(headings, rows, right=frozenset(headings) - {""})
    highest = highest_of(tried)
    if highest is None:
        text.append("no rate that was tried keeps every promise\n", "red")
    else:
        text.append("highest rate kept: ").append(f"{rate(highest)}/s", "bold")
        limits = limits_of(tried)
        text.append(f"; above it: {', '.join(limits)}\n" if limits else "; nothing broke up to there\n")
    return text


def sweep_json(tried: Sequence[Tried]) -> dict[str, Any]:
    """Return the same as data, with the whole report of every run."""
    ordered = sorted(tried, key=lambda one: one.rate)
    return {
        "schema_version": 1,
        "highest_rate": highest_of(tried),
        "limits": list(limits_of(tried)),
        "tried": [
            {"rate": one.rate, "kept": one.kept, "report": one.report.model_dump(mode="json", exclude_none=True)}
            for one in ordered
        ],
    }


def _row(one: Tried) -> list[str]:
    seen, delivery = one.report.found.seen, one.report.sent.delivery
    return [
        f"{rate(one.rate)}/s",
        "-" if delivery is None else rate(delivery.achieved_per_s),
        *(_seconds(latency.p95) for latency in (seen.ttft, seen.tpot, seen.e2e)),
        "-" if seen.output_tokens_per_s is None else rate(seen.output_tokens_per_s),
        "-" if seen.goodput is None else share(round(seen.goodput, 4)),
    ]


def _foretold(results: Results | None) -> list[str]:
    metrics = (Metric.TTFT, Metric.TPOT, Metric.E2E)
    return ["-" if results is None else seconds(results.of(metric, "p95").value) for metric in metrics]


def _verdict(one: Tried) -> str:
    return "kept" if one.kept else "broken" if one.report.valid else "invalid"


def _seconds(value: float | None) -> str:
    return "-" if value is None else seconds(value)
