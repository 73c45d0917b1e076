"""A file's rows with their places: CSV with a header, JSON lines, or one JSON array."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple, TextIO

from enova.errors import Problem

Values = Mapping[str, Any]
"""By the names of columns, in lower case."""


class Row(NamedTuple):
    """One request."""

    line: int
    """Where it is; 0 where that is not known, as within a JSON array."""
    place: str
    """Its index within an array, for messages: `[3].`; else empty."""
    values: Values


def rows_of(path: str, file: TextIO, problems: list[Problem]) -> Iterator[Row]:
    """Yield the rows of a file; what is none goes to `problems`."""
    first = next(file, "")
    while first and not first.strip():
        first = next(file, "")
    lines = chain([first], file)
    start = first.lstrip()[:1]
    if start == "[":
        return _array(path, "".join(lines), problems)
    return _json_lines(path, lines, problems) if start == "{" else _csv(path, lines, problems)


def _array(path: str, text: str, problems: list[Problem]) -> Iterator[Row]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        problems.append(Problem(path, line, getattr(error, "colno", 0), "", f"is not JSON: {error}"))
        return
    for index, item in enumerate(items):
        if isinstance(item, dict):
            yield Row(0, f"[{index}].", _lowered(item))
        else:
            problems.append(Problem(path, 0, 0, f"[{index}]", "must be a mapping, one request each"))


def _json_lines(path: str, lines: Iterator[str], problems: list[Problem]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except ValueError as error:
            problems.append(Problem(path, number, 0, "", f"is not JSON: {error}"))
            continue
        if isinstance(item, dict):
            yield Row(number, "", _lowered(item))
        else:
            problems.append(Problem(path, number, 0, "", "must be a mapping, one request a line"))


def _csv(path: str, lines: Iterator[str], problems: list[Problem]) -> Iterator[Row]:
    reader = csv.reader(lines)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        for row in reader:
            if not row:
                continue
            if len(row) == len(names):
                yield Row(reader.line_num, "", dict(zip(names, row, strict=True)))
            else:
                words = f"has {len(row)} columns where the first line names {len(names)}"
                problems.append(Problem(path, reader.line_num, 0, "", words))
    except csv.Error as error:
        problems.append(Problem(path, reader.line_num, 0, "", f"is not CSV: {error}"))


def _lowered(item: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name).lower(): value for name, value in item.items()}
