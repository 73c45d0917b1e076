"""Recorded traffic and datasets: CSV and JSON lines to columns, with every mistake at its line.

Three forms of traces are understood, by the names of their columns: Enova's own (`timestamp` in seconds or as a
date, `prompt_tokens`, `output_tokens`), Azure's (`TIMESTAMP`, `ContextTokens`, `GeneratedTokens`) and Mooncake's
(`timestamp` in milliseconds, `input_length`, `output_length`). A dataset may hold prompts as text instead.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from enova.core.workload.recording import Recording
from enova.errors import Problem, SpecError

MAX_PROBLEMS = 100
BYTES_PER_TOKEN = 4
"""What prompts without a count of tokens are divided by: about right for English in today's vocabularies."""

_COLUMNS = {
    "at_s": ("timestamp", "arrival_s", "arrived_at"),
    "prompt_tokens": ("prompt_tokens", "contexttokens", "input_length", "input_tokens", "num_prefill_tokens"),
    "output_tokens": ("output_tokens", "generatedtokens", "output_length", "num_decode_tokens"),
}
_TEXT = "prompt"
_MILLISECONDS = frozenset({"timestamp", "input_length"})
"""With both of these columns it is Mooncake's form."""

Row = Mapping[str, Any]
Columns = Mapping[str, tuple[str, Callable[[Any], float]]]
"""What each of our columns is called in a file, and how its values are read."""


def read_recording(path: str) -> Recording:
    """Return the columns of a trace or a dataset, sorted by time if there are times.

    Raises:
        SpecError: with all that is wrong in the file, by line.
    """
    problems: list[Problem] = []
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            recording = _recording(path, file, problems)
    except UnicodeDecodeError as error:
        problems.append(Problem(path, 0, 0, "", f"is not UTF-8: {error.reason}"))
    except OSError as error:
        problems.append(Problem(path, 0, 0, "", f"cannot be read: {error.strerror}"))
    if problems:
        raise SpecError(problems)
    return recording


def _recording(path: str, file: TextIO, problems: list[Problem]) -> Recording:
    first = next(file, "")
    lines = chain([first], file)
    rows = (
        _json_rows(path, lines, problems) if first.lstrip().startswith("{") else _csv_rows(path, lines, problems)
    )
    found: dict[str, list[float]] = {name: [] for name in _COLUMNS}
    columns: Columns | None = None
    for line, row in rows:
        columns = columns or _columns_of(row)
        if not columns:
            words = "has none of the columns timestamp, prompt_tokens, output_tokens"
            problems.append(Problem(path, line, 0, "", words, f"it has {', '.join(row) or 'none'}"))
            break
        for name, (column, value_of) in columns.items():
            try:
                found[name].append(value_of(row.get(column)))
            except ValueError as error:
                problems.append(Problem(path, line, 0, column, str(error)))
        if len(problems) >= MAX_PROBLEMS:
            break
    if columns is None and not problems:
        problems.append(Problem(path, 0, 0, "", "holds no requests"))
    return _sorted(found, estimated=columns is not None and columns.get("prompt_tokens", ("",))[0] == _TEXT)


def _sorted(found: Mapping[str, Sequence[float]], *, estimated: bool) -> Recording:
    at_s = np.array(found["at_s"])
    order = np.argsort(at_s, kind="stable") if len(at_s) else slice(None)
    tokens = {
        name: np.array(found[name], dtype=np.int64)[order] if found[name] else None
        for name in ("prompt_tokens", "output_tokens")
    }
    times = at_s[order] - at_s.min() if len(at_s) else None
    return Recording(at_s=times, **tokens, estimated=estimated)


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
            yield number, {str(name).lower(): value for name, value in row.items()}
        else:
            problems.append(Problem(path, number, 0, "", "must be a mapping, one request a line"))


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


def _columns_of(row: Row) -> Columns:
    """Return the columns a file has, going by its first row."""
    names = {ours: next((name for name in theirs if name in row), None) for ours, theirs in _COLUMNS.items()}
    found: dict[str, tuple[str, Callable[[Any], float]]] = {}
    if names["at_s"] is not None:
        found["at_s"] = (names["at_s"], _milliseconds if row.keys() >= _MILLISECONDS else _seconds)
    for ours in ("prompt_tokens", "output_tokens"):
        if (name := names[ours]) is not None:
            found[ours] = (name, _tokens)
    if names["prompt_tokens"] is None and _TEXT in row:
        found["prompt_tokens"] = (_TEXT, _tokens_of_text)
    return found


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"{_shown(value)} is neither seconds nor a date such as 2026-01-31 12:00:00"
            ) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise ValueError(f"{_shown(value)} is not a time")
    return seconds


def _milliseconds(value: Any) -> float:
    return _seconds(value) / 1e3


def _tokens(value: Any) -> float:
    try:
        tokens = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{_shown(value)} is not a number of tokens") from None
    if not tokens.is_integer() or not 1 <= tokens <= 1e8:
        raise ValueError(f"{_shown(value)} is not a number of tokens: a whole one of at least 1")
    return tokens


def _tokens_of_text(value: Any) -> float:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 - a mistake in the file, reported as all others are
    return math.ceil(len(value.encode()) / BYTES_PER_TOKEN) or 1


def _shown(value: Any) -> str:
    text = repr(value) if value is not None else "nothing"
    return text if len(text) <= 40 else text[:40] + "…"
