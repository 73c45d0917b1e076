"""Recorded traffic and datasets: CSV and JSON lines to columns, with every mistake at its line.

Three forms of traces are understood, by the names of their columns: Enova's own (`timestamp` in seconds or as a
date, `prompt_tokens`, `output_tokens`), Azure's (`TIMESTAMP`, `ContextTokens`, `GeneratedTokens`) and Mooncake's
(`timestamp` in milliseconds, `input_length`, `output_length`, and `hash_ids`, which tell what prompts share). A
dataset may hold prompts as text instead.
"""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from enova.core.workload.chains import chains_of
from enova.core.workload.recording import Recording
from enova.errors import Problem, RecordingError

MAX_PROBLEMS = 100
BYTES_PER_TOKEN = 4
"""What prompts without a count of tokens are divided by: about right for English in today's vocabularies."""

_COLUMNS = {
    "at_s": ("timestamp", "arrival_s", "arrived_at"),
    "prompt_tokens": ("prompt_tokens", "contexttokens", "input_length", "input_tokens", "num_prefill_tokens"),
    "output_tokens": ("output_tokens", "generatedtokens", "output_length", "num_decode_tokens"),
}
_TEXT, _BLOCKS = "prompt", "hash_ids"
TOKENS_PER_BLOCK = 512
"""Of the blocks that Mooncake's traces name."""
_MILLISECONDS = frozenset({"timestamp", "input_length"})
"""With both of these columns it is Mooncake's form."""

Row = Mapping[str, Any]
Columns = Mapping[str, tuple[str, Callable[[Row], Any]]]
"""For each column of a recording, what it is called in the file, and how its value is read from a row."""


def read_recording(path: str) -> Recording:
    """Return the columns of a trace or a dataset, sorted by time if there are times.

    Raises:
        RecordingError: with all that is wrong in the file, by line.
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
        raise RecordingError(problems)
    return recording


def _recording(path: str, file: TextIO, problems: list[Problem]) -> Recording:
    first = next(file, "")
    lines = chain([first], file)
    rows = (
        _json_rows(path, lines, problems) if first.lstrip().startswith("{") else _csv_rows(path, lines, problems)
    )
    found: dict[str, list[Any]] = defaultdict(list)
    columns: Columns | None = None
    for line, row in rows:
        columns = columns or _columns_of(row)
        if not columns:
            words = "has none of the columns timestamp, prompt_tokens, output_tokens"
            problems.append(Problem(path, line, 0, "", words, f"it has {', '.join(row) or 'none'}"))
            break
        for name, (column, value_of) in columns.items():
            try:
                found[name].append(value_of(row))
            except ValueError as error:
                problems.append(Problem(path, line, 0, column, str(error)))
        if len(problems) >= MAX_PROBLEMS:
            break
    if columns is None and not problems:
        problems.append(Problem(path, 0, 0, "", "holds no requests"))
    estimated = columns is not None and columns.get("prompt_tokens", ("",))[0] == _TEXT
    return Recording() if problems else _sorted(found, estimated=estimated)


def _sorted(found: Mapping[str, Sequence[Any]], *, estimated: bool) -> Recording:
    """Return columns of equal length in the order of time, or as they are without times."""
    at_s = np.array(found["at_s"]) if "at_s" in found else None
    order = np.arange(len(next(iter(found.values())))) if at_s is None else np.argsort(at_s, kind="stable")
    tokens = {
        name: np.array(found[name], dtype=np.int64)[order] if name in found else None
        for name in ("prompt_tokens", "output_tokens")
    }
    prefixes = None
    if "blocks" in found:
        chains, blocks = chains_of([found["blocks"][place] for place in order.tolist()])
        prefixes = np.array(chains), np.array(blocks) * TOKENS_PER_BLOCK
    times = None if at_s is None else at_s[order] - at_s.min()
    return Recording(at_s=times, **tokens, prefixes=prefixes, estimated=estimated)


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
    found: dict[str, tuple[str, Callable[[Row], Any]]] = {}
    if (time := names["at_s"]) is not None:
        per_second = 1e3 if row.keys() >= _MILLISECONDS else 1.0
        found["at_s"] = (time, lambda row: _seconds(row.get(time)) / per_second)
    if (prompt := names["prompt_tokens"]) is not None:
        found["prompt_tokens"] = (prompt, lambda row: _tokens(row.get(prompt)))
    elif _TEXT in row:
        found["prompt_tokens"] = (_TEXT, lambda row: _tokens_of_text(row.get(_TEXT)))
    if (output := names["output_tokens"]) is not None:
        found["output_tokens"] = (output, lambda row: _tokens(row.get(output)))
    if prompt is not None and _BLOCKS in row:
        found["blocks"] = (_BLOCKS, lambda row: _full_blocks(row.get(_BLOCKS), row.get(prompt)))
    return found


def _full_blocks(named: Any, tokens: Any) -> list[int]:
    """Return the names of a prompt's blocks but for the last one if it is not full: nobody can share that."""
    if not isinstance(named, list) or not all(isinstance(name, int) for name in named):
        raise ValueError("must be a list of numbers")
    full: list[int] = named[: int(_tokens(tokens)) // TOKENS_PER_BLOCK]
    return full


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
