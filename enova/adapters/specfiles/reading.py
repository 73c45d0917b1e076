"""What files of every kind have in common: their bytes, and problems with a place that is inside the file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from enova.adapters.specfiles.nodes import Document, Misfit
from enova.adapters.specfiles.places import problem, shown
from enova.adapters.specfiles.text import MAX_BYTES
from enova.core.spec.explain import Finding
from enova.errors import Problem


def read_bytes(name: str, file: Path) -> bytes | Problem:
    """Return what a file holds, or why it cannot be read. One byte too many tells that it is too long."""
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Problem(name, 0, 0, "", f"cannot be read: {reason}", "check the path")


def is_blank(document: Document) -> bool:
    """Tell whether nothing was written in a document."""
    return not document.misfits and (document.root is None or document.root.data is None)


def problems_of(
    name: str, document: Document, findings: Iterable[Finding], nulls: Iterable[Misfit]
) -> list[Problem]:
    """Return all that is wrong in a document with its place; of a place that is misread nothing more is said."""
    wrong = [*document.misfits, *nulls]
    found = [Problem(name, item.line, item.column, shown(item.loc), item.message, item.hint) for item in wrong]
    if document.root is None:
        return found
    said = {(item.line, item.column) for item in found}
    more = (problem(name, document.root, finding) for finding in findings)
    return found + [item for item in more if (item.line, item.column) not in said]


def inside(problems: list[Problem], text: str) -> list[Problem]:
    """Keep places inside the file: a parser may point behind its end."""
    if not problems:
        return problems
    lines = text.split("\n")
    kept = []
    for item in problems:
        line = min(item.line, len(lines))
        column = item.column if line == item.line else len(lines[-1]) + 1
        column = min(column, len(lines[line - 1]) + 1)
        kept.append(Problem(item.file, line, column, item.path, item.message, item.hint))
    return kept
