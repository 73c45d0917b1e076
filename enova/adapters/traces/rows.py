"""Rows of a recording with their lines, from CSV, JSON lines or one JSON array."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, TextIO

from enova.errors import Problem

Row = Mapping[str, Any]
"""Values by the names of their columns in lower case."""

_SPACE = re.compile(r"\s*")
_DECODER = json.JSONDecoder()


def rows_in(path: str, file: TextIO, problems: list[Problem]) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a file with the lines they are at, and note what is wrong."""
    first = next(file, "")
    start = first.lstrip()[:1]
    if start == "[":
        return _array_rows(path, first + file.read(), problems)
    lines = chain([first], file)
    return _json_rows(path, lines, problems) if start == "{" else _csv_rows(path, lines, problems)


def _array_rows(path: str, text: str, problems: list[Problem]) -> Iterator[tuple[int, Row]]:
    """Yield the entries of an array one by one, for their lines, and to build no list of them all."""
    place, counted, line = _after(text, text.index("[") + 1), 0, 1
    if text[place : place + 1] == "]":
        return
    while True:
        line += text.count("\n", counted, place)
        counted = place
        try:
            entry, place = _DECODER.raw_decode(text, place)
        except ValueError as error:
            at = getattr(error, "lineno", line)
            problems.append(Problem(path, at, 0, "", f"is not JSON: {getattr(error, 'msg', error)}"))
            return
        if isinstance(entry, dict):
            yield line, _lowered(entry)
        else:
            problems.append(Problem(path, line, 0, "", "must be a mapping, as each entry of the list"))
        place = _after(text, place)
        if text[place : place + 1] != ",":
            break
        place = _after(text, place + 1)
    if text[place : place + 1] != "]":
        line += text.count("\n", counted, place)
        problems.append(Problem(path, line, 0, "", "is not JSON: expecting , or ] after an entry of the list"))


def _after(text: str, place: int) -> int:
    """Return where the white space at a place ends."""
    space = _SPACE.match(text, place)
    return space.end() if space else place


def _json_rows(path: str, lines: Iterator[str], problems: list[Problem]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            problems.append(Problem(path, number, 0, "", f"is not JSON: {error}"))
            continue
        if isinstance(row, dict):
            yield number, _lowered(row)
        else:
            problems.append(Problem(path, number, 0, "", "must be a mapping, one request a line"))


def _lowered(row: Mapping[Any, Any]) -> Row:
    return {str(name).lower(): value for name, value in row.items()}


def _csv_rows(path: str, lines: Iterator[str], problems: list[Problem]) -> Iterator[tuple[int, Row]]:
    reader = csv.reader(lines)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        for row in reader:
            if not row:
                continue
            if len(row) == len(names):
                yield reader.line_num, dict(zip(names, row, strict=True))
            else:
                words = f"has {len(row)} columns where the first line names {len(names)}"
                problems.append(Problem(path, reader.line_num, 0, "", words))
    except csv.Error as error:
        problems.append(Problem(path, reader.line_num, 0, "", f"is not CSV: {error}"))
