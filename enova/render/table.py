"""Columns of text, as wide as their widest cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.text import Text


def table_text(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[str] = frozenset()
) -> Text:
    """Return a table under its headings; columns named in `right` are flush right."""
    listed = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in listed) for column in range(len(headings))]
    text = Text()
    for index, row in enumerate(listed):
        cells = (
            cell.rjust(width) if heading in right else cell.ljust(width)
            for heading, cell, width in zip(headings, row, widths, strict=True)
        )
        text.append("  ".join(cells).rstrip() + "\n", "dim" if index == 0 else "")
    return text
