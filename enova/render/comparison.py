"""Two runs of load beside each other, for people and for programs."""

from __future__ import annotations

import math
from typing import Any

from rich.text import Text

from enova.core.inject.compare import Comparison, Difference
from enova.render.forecast import rate, seconds
from enova.render.injection import NAMES, share

HEADINGS = ("", "A", "B", "B/A", "")
SCALARS = {"requests_per_s": "requests/s", "output_tokens_per_s": "output tokens/s", "goodput": "goodput"}


def comparison_text(comparison: Comparison, names: tuple[str, str]) -> Text:
    """Return a table; `names` are those of the two runs."""
    text = Text()
    since = "the schedule" if comparison.from_schedule else "the send"
    text.append("A: ", "bold").append(f"{names[0]}\n").append("B: ", "bold").append(f"{names[1]}\n")
    text.append(f"latencies from {since}; of 20 pairs of equal runs, 1 would show any difference\n\n", "dim")
    rows = [(_name(row), _value(row, row.first), _value(row, row.second), _ratio(row)) for row in comparison.rows]
    widths = [max(map(len, column)) for column in zip(HEADINGS[:4], *rows, strict=True)]
    for row, cells in zip((None, *comparison.rows), (HEADINGS[:4], *rows), strict=True):
        line = [cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])]
        text.append("  " + "  ".join(line).rstrip(), "" if row else "dim")
        if row is not None:
            words, style = _verdict(row)
            text.append(f"  {words}", style)
        text.append("\n")
    for warning in comparison.warnings:
        text.append("warning: ", "yellow").append(f"{warning}\n")
    return text


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return the same as data; latencies in seconds."""
    return {
        "schema_version": 1,
        "from_schedule": comparison.from_schedule,
        "warnings": list(comparison.warnings),
        "figures": [
            {
                "figure": row.name,
                "a": row.first,
                "b": row.second,
                "ratio": None if math.isnan(row.ratio) else row.ratio,
                "differs": row.differs,
                "better": row.better if row.differs else None,
            }
            for row in comparison.rows
        ],
    }


def _name(row: Difference) -> str:
    metric, _, statistic = row.name.partition(".")
    return f"{NAMES[metric]} {statistic}" if statistic else SCALARS[metric]


def _value(row: Difference, value: float) -> str:
    if row.name == "goodput":
        return share(value)
    return rate(value) if row.name in SCALARS else seconds(value)


def _ratio(row: Difference) -> str:
    return "-" if math.isnan(row.ratio) else f"{row.ratio:.3f}"


def _verdict(row: Difference) -> tuple[str, str]:
    if row.differs is None:
        return "noise unknown", "dim"
    if not row.differs:
        return "~ within noise", "dim"
    return ("better", "green") if row.better else ("worse", "red")
