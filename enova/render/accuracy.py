"""How far predictions are from measurements, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from enova.core.accuracy.score import Comparison, Group, Unpredicted, groups_of

SCHEMA_VERSION = 1


def as_text(comparisons: Sequence[Comparison], unpredicted: Sequence[Unpredicted], *, rows: bool = True) -> str:
    """Return every row with its error, what could not be predicted and why, and the scores of all groups."""
    lines: list[str] = []
    if rows and comparisons:
        lines += [*_columns(_rows(comparisons), words=3), ""]
    if unpredicted:
        lines += [*_reasons(unpredicted), ""]
    if comparisons:
        lines += _columns(_scores(groups_of(comparisons)), words=2)
    return "\n".join(lines) + "\n" if lines else ""


def as_json(comparisons: Sequence[Comparison], unpredicted: Sequence[Unpredicted]) -> str:
    """Return `{schema_version, rows, groups, unpredicted}`; errors and scores are shares: 0.1 is 10 %."""
    rows = [row._asdict() | {"error": row.error, "covered": row.covered} for row in comparisons]
    document = {
        "schema_version": SCHEMA_VERSION,
        "rows": rows,
        "groups": [group_json(group) for group in groups_of(comparisons)],
        "unpredicted": [row._asdict() for row in unpredicted],
    }
    return json.dumps(document, indent=2) + "\n"


def group_json(group: Group) -> dict[str, Any]:
    """Return a group as `{source: …, metric: …, count: …, median: …}`."""
    return dict(zip(group.by, group.values, strict=True)) | asdict(group.score)


def percent(share: float) -> str:
    """Return a share in percent, with a decimal while that is telling."""
    return f"{share:.1%}" if abs(share) < 1 else f"{share:.0%}"


def quantity(value: float, unit: str) -> str:
    """Return a value with its unit, seconds in milliseconds while they are short."""
    if unit != "s":
        return f"{value:,.4g} {unit}" if value < 1e4 else f"{value:,.0f} {unit}"
    return f"{value:,.2f} s" if value >= 10 else f"{value * 1000:,.4g} ms"


def _rows(comparisons: Iterable[Comparison]) -> Iterator[tuple[str, ...]]:
    yield ("where", "point", "metric", "measured", "predicted", "error", "band")
    for row in comparisons:
        band = ""
        if row.low is not None and row.high is not None:
            band = f"{quantity(row.low, row.unit)} to {quantity(row.high, row.unit)}"
            band += "" if row.covered else " !"
        yield (
            row.place,
            row.point,
            row.metric,
            quantity(row.measured, row.unit),
            quantity(row.predicted, row.unit),
            f"{row.error:+.1%}",
            band,
        )


def _scores(groups: Iterable[Group]) -> Iterator[tuple[str, ...]]:
    yield ("group", "metric", "count", "median", "mean", "P90", "bias", "in band")
    # Of groups that have the very same rows, the one that says most about them.
    told = {(group.values[-1], group.score): group for group in groups}
    for group in told.values():
        score = group.score
        yield (
            " · ".join(group.values[:-1]),
            group.values[-1],
            str(score.count),
            percent(score.median),
            percent(score.mean),
            percent(score.p90),
            f"{score.bias:+.1%}",
            "" if score.coverage is None else percent(score.coverage),
        )


def _reasons(unpredicted: Iterable[Unpredicted]) -> Iterator[str]:
    reasons: dict[str, list[Unpredicted]] = {}
    for row in unpredicted:
        reasons.setdefault(row.reason, []).append(row)
    for reason, rows in sorted(reasons.items()):
        where = rows[0].place if len(rows) == 1 else f"{rows[0].place} and {len(rows) - 1} more"
        yield f"not predicted: {where}: {reason}"


def _columns(table: Iterable[Sequence[str]], words: int) -> list[str]:
    """Return lines in which columns are as wide as they need to be; the first ones are words, others figures."""
    rows = list(table)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
