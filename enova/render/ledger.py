"""Predicted beside measured, over time, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from enova.core.ledger.records import Measured
from enova.core.ledger.rows import Ledger, Row, Span, Summary, summaries_of
from enova.core.simulate.results import Figure
from enova.render.accuracy import percent, quantity
from enova.render.table import table_text

SCHEMA_VERSION = 1
HEADINGS = ("WHEN (UTC)", "SERVICE", "METRIC", "PREDICTED", "BAND", "MEASURED", "ERROR", "IN BAND", "REMARK")
SUMMARY = ("SERVICE", "METRIC", "COUNT", "MEDIAN ERROR", "BIAS", "IN BAND")
FIGURES = frozenset({"PREDICTED", "ERROR", "COUNT", "MEDIAN ERROR", "BIAS"})


def ledger_text(ledger: Ledger) -> Text:
    """Return every row, and what those that count come to."""
    text = Text()
    if ledger.rows:
        text.append(table_text(HEADINGS, map(_row, ledger.rows), right=FIGURES))
    summaries = summaries_of(ledger.rows)
    if summaries:
        text.append("\n").append(table_text(SUMMARY, map(_summary, summaries), right=FIGURES))
    if any(row.measured.low < row.measured.high for row in ledger.rows):
        text.append("\nA percentile from metrics is known to lie in its bucket (in brackets); where is a guess.\n")
    if ledger.unmatched:
        many = "s" if ledger.unmatched != 1 else ""
        text.append(f"{ledger.unmatched} measurement{many} met no forecast: none was in force\n")
    return text


def ledger_json(ledger: Ledger) -> dict[str, Any]:
    """Return the stable JSON form of a ledger.

    schema_version   1
    rows             [{service, fingerprint, origin, began_s, ended_s, source, requests, metric, predicted: {value,
                     low, high, level}, measured: {value, low, high}, error: {low, high}, in_band, counts, doubt,
                     emulated}]; times are Unix times, errors are shares of what was measured (0.1: 10 % too high),
                     an open end and an `in_band` that nobody knows are null
    summaries        [{service, metric, count, error: {low, high}, bias: {low, high}, inside, outside}] of rows
                     that count: medians of the sizes of errors and of errors, how many are surely in or out of the
                     band
    unmatched        measurements for which no forecast was in force
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "rows": list(_rows_json(ledger.rows)),
        "summaries": [
            {
                "service": one.service,
                "metric": one.metric,
                "count": one.count,
                "error": _ends(one.error),
                "bias": _ends(one.bias),
                "inside": one.inside,
                "outside": one.outside,
            }
            for one in summaries_of(ledger.rows)
        ],
        "unmatched": ledger.unmatched,
    }


def _rows_json(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        value, band = row.predicted
        ends = {"value": value, "low": band.low, "high": band.high, "level": band.level}
        yield {
            "service": row.service,
            "fingerprint": row.fingerprint,
            "origin": str(row.origin),
            "began_s": row.began_s,
            "ended_s": row.ended_s,
            "source": row.source,
            "requests": row.requests,
            "metric": row.metric,
            "predicted": {name: _finite(end) for name, end in ends.items()},
            "measured": {name: _finite(end) for name, end in row.measured._asdict().items()},
            "error": _ends(row.error),
            "in_band": row.in_band,
            "counts": row.counts,
            "doubt": row.doubt,
            "emulated": row.emulated,
        }


def _row(row: Row) -> tuple[str, ...]:
    remarks = ["emulated"] if row.emulated else []
    remarks += [f"does not count: {row.doubt}"] if row.doubt else []
    return (
        datetime.fromtimestamp(row.began_s, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        row.service,
        row.metric,
        _quantity(row.predicted.value, row.metric),
        _band(row.predicted, row.metric),
        _measured(row.measured, row.metric),
        _share(row.error, "+.1%"),
        {True: "yes", False: "no", None: "perhaps"}[row.in_band],
        "; ".join(remarks),
    )


def _summary(summary: Summary) -> tuple[str, ...]:
    inside = Span(summary.inside / summary.count, 1 - summary.outside / summary.count)
    return (
        summary.service,
        summary.metric,
        str(summary.count),
        _share(summary.error, ".1%"),
        _share(summary.bias, "+.1%"),
        _share(inside, ".0%"),
    )


def _band(figure: Figure, metric: str) -> str:
    return _span(figure.band.low, figure.band.high, metric)


def _measured(measured: Measured, metric: str) -> str:
    if measured.low == measured.high:
        return _quantity(measured.value, metric)
    return f"{_quantity(measured.value, metric)} ({_span(measured.low, measured.high, metric)})"


def _span(low: float, high: float, metric: str) -> str:
    end = f"to {_quantity(high, metric)}" if math.isfinite(high) else "or more"
    return f"{_quantity(low, metric)} {end}"


def _quantity(value: float, metric: str) -> str:
    if metric.endswith("share"):
        return percent(value)
    if metric.endswith("per_s"):
        return f"{value:,.4g}/s" if value < 1e4 else f"{value:,.0f}/s"
    return quantity(float(f"{value:.3g}"), "s")


def _share(span: Span, form: str) -> str:
    if math.isinf(span.high):
        return f"{span.low:{form}} or more"
    low, high = format(span.low, form), format(span.high, form)
    return low if low == high else f"{low} to {high}"


def _ends(span: Span) -> dict[str, float | None]:
    return {"low": round(span.low, 4), "high": None if math.isinf(span.high) else round(span.high, 4)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
