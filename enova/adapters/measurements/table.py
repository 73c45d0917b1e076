"""A CSV file as rows whose fields know their place, so that what is wrong can be pointed at."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from enova.errors import Problem


@dataclass(slots=True)
class Row:
    """One row of a table. What cannot be read is noted in `problems`, and a harmless value returned."""

    file: str
    line: int
    fields: dict[str, str]
    columns: dict[str, int]
    """Where each field begins in its line, from 1."""
    problems: list[Problem]

    def text(self, name: str) -> str:
        """Return a field's text, empty when it is blank or missing."""
        return self.fields.get(name, "")

    def whole(self, name: str, *, default: int | None = None, at_least: int = 1) -> int:
        """Return a whole number; a blank field gives the default, or is a problem where there is none."""
        text = self.text(name)
        if not text and default is not None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if value == value // 1 and value >= at_least:
            return int(value)
        what = f"{text!r} is not a whole number of at least {at_least}" if text else "a value is missing"
        self.problem(name, what)
        return at_least

    def number(self, name: str, *, default: float | None = None, above: float = 0.0) -> float:
        """Return a number greater than `above`; a blank field gives the default, or is a problem without one."""
        value = self.measured(name, above=above)
        if value is not None:
            return value
        if default is None and not self.text(name):
            self.problem(name, "a value is missing")
        return max(1.0, above) if default is None else default

    def measured(self, name: str, *, above: float = 0.0) -> float | None:
        """Return a number greater than `above`, or None where the field is blank or wrong."""
        text = self.text(name)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value) and value > above:
            return value
        self.problem(name, f"{text!r} is not a number greater than {above:g}")
        return None

    def problem(self, name: str, message: str, hint: str | None = None) -> None:
        """Note what is wrong with a field."""
        self.problems.append(Problem(self.file, self.line, self.columns.get(name, 0), name, message, hint))


@dataclass(slots=True)
class Table:
    """A table and everything found wrong with it."""

    file: str
    header: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def header_of(path: Path) -> tuple[str, ...]:
    """Return the names in a file's first line, none if it is no text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return tuple(name.strip() for name in next(csv.reader(file), ()))
    except (UnicodeDecodeError, csv.Error):
        return ()


def read_table(path: Path, *, required: Sequence[str], comment: str = "#") -> Table:
    """Return all rows of a CSV file. Lacking columns and rows of the wrong length are problems."""
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        reader = csv.reader(file, strict=True)
        table = Table(str(path), tuple(name.strip() for name in next(reader, ())))
        lacking = [name for name in required if name not in table.header]
        if lacking:
            table.problems.append(Problem(str(path), 1, 1, "", f"no column {', '.join(lacking)}"))
            return table
        for line, values in _lines(reader, table):
            if not values or values[0].startswith(comment):
                continue
            if len(values) != len(table.header):
                wrong = f"{len(values)} fields where the header has {len(table.header)}"
                table.problems.append(Problem(str(path), line, 1, "", wrong))
                continue
            table.rows.append(_row(table, line, values))
    return table


def _lines(reader: Iterator[list[str]], table: Table) -> Iterator[tuple[int, list[str]]]:
    first = 1
    while True:
        first = getattr(reader, "line_num", first) + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            table.problems.append(Problem(table.file, first, 1, "", f"not CSV: {error}"))
            return
        if values is None:
            return
        yield first, values


def _row(table: Table, line: int, values: list[str]) -> Row:
    columns, at = {}, 1
    for name, value in zip(table.header, values, strict=True):
        columns[name] = at
        quoted = 2 + value.count('"') if any(sign in value for sign in ',"\n') else 0
        at += len(value) + quoted + 1
    fields = {name: value.strip() for name, value in zip(table.header, values, strict=True)}
    return Row(table.file, line, fields, columns, table.problems)
