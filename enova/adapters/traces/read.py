"""Recorded traffic and datasets: CSV and JSON to columns, with every mistake at its line.

Four forms of traces are understood, by the names of their columns: Enova's own (`timestamp` in seconds or as a
date, `prompt_tokens`, `output_tokens`), Azure's (`TIMESTAMP`, `ContextTokens`, `GeneratedTokens`), BurstGPT's
(`Timestamp` in seconds, `Request tokens`, `Response tokens`; none of the latter is a failure, and left out) and
Mooncake's (`timestamp` in milliseconds, `input_length`, `output_length`, and `hash_ids`, which tell what prompts
share). A dataset may hold prompts as text instead: ShareGPT's `conversations`, or what evaluation sets have.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from enova.adapters.traces.rows import Row, rows_in
from enova.adapters.traces.texts import CONVERSATIONS, TEXT_COLUMNS, opening, text_column, text_in
from enova.core.workload.chains import chains_of
from enova.core.workload.recording import Recording
from enova.errors import Problem, RecordingError

MAX_PROBLEMS = 100
BYTES_PER_TOKEN = 4
"""What prompts without a count of tokens are divided by: about right for English in today's vocabularies."""

_COLUMNS = {
    "at_s": ("timestamp", "arrival_s", "arrived_at"),
    "prompt_tokens": (
        "prompt_tokens",
        "contexttokens",
        "input_length",
        "input_tokens",
        "num_prefill_tokens",
        "request tokens",
    ),
    "output_tokens": ("output_tokens", "generatedtokens", "output_length", "num_decode_tokens", "response tokens"),
}
_RESPONSE, _BLOCKS = "response tokens", "hash_ids"
TOKENS_PER_BLOCK = 512
"""Of the blocks that Mooncake's traces name."""
_MILLISECONDS = frozenset({"timestamp", "input_length"})
"""With both of these columns it is Mooncake's form."""

_NOTHING = "has none of the columns timestamp, prompt_tokens, output_tokens"

Columns = Mapping[str, tuple[str, Callable[[Row], Any]]]
"""For each column of a recording, what it is called in the file, and how its value is read from a row."""


def read_recording(path: str, *, texts: bool = False) -> Recording:
    """Return the columns of a trace or a dataset, sorted by time if there are times, with its texts if asked for.

    Raises:
        RecordingError: with all that is wrong in the file, by line.
    """
    problems: list[Problem] = []
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            recording = _recording(path, file, problems, texts=texts)
    except UnicodeDecodeError as error:
        problems.append(Problem(path, 0, 0, "", f"is not UTF-8: {error.reason}"))
    except OSError as error:
        problems.append(Problem(path, 0, 0, "", f"cannot be read: {error.strerror}"))
    if problems:
        raise RecordingError(problems)
    return recording


def _recording(path: str, file: TextIO, problems: list[Problem], *, texts: bool) -> Recording:
    found: dict[str, list[Any]] = defaultdict(list)
    columns: Columns | None = None
    for line, row in rows_in(path, file, problems):
        columns = columns or _columns_of(row, texts=texts)
        if not columns:
            problems.append(Problem(path, line, 0, "", _NOTHING, _understood(row)))
            break
        if not _left_out(row, columns):
            _take(path, line, row, columns, found, problems)
        if len(problems) >= MAX_PROBLEMS:
            break
    if not found and not problems:
        problems.append(Problem(path, 0, 0, "", "holds no requests"))
    estimated = columns is not None and columns.get("prompt_tokens", ("",))[0] in TEXT_COLUMNS
    return Recording() if problems else _sorted(found, estimated=estimated)


def _understood(row: Row) -> str:
    *most, last = TEXT_COLUMNS
    return f"it has {', '.join(row) or 'none'}; prompts as text may be in {', '.join(most)} or {last}"


def _take(
    path: str, line: int, row: Row, columns: Columns, found: dict[str, list[Any]], problems: list[Problem]
) -> None:
    """Add a row to the columns, or what is wrong with it to the problems."""
    for name, (column, value_of) in columns.items():
        try:
            found[name].append(value_of(row))
        except ValueError as error:
            problem = Problem(path, line, 0, column, str(error))
            # Two columns may be read from one value.
            if problem not in problems[-len(columns) :]:
                problems.append(problem)


def _left_out(row: Row, columns: Columns) -> bool:
    """Return whether nothing was answered: BurstGPT's failures, and conversations that never came about."""
    names = [name for name, _ in columns.values()]
    if _RESPONSE in names and str(row.get(_RESPONSE)).strip() in ("0", "0.0"):
        return True
    try:
        return CONVERSATIONS in names and opening(row) is None
    except ValueError:
        return False


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
    texts = tuple(found["texts"][place] for place in order.tolist()) if "texts" in found else None
    return Recording(at_s=times, **tokens, prefixes=prefixes, texts=texts, estimated=estimated)


def _columns_of(row: Row, *, texts: bool) -> Columns:
    """Return the columns a file has, going by its first row."""
    names = {ours: next((name for name in theirs if name in row), None) for ours, theirs in _COLUMNS.items()}
    text = text_column(row)
    found: dict[str, tuple[str, Callable[[Row], Any]]] = {}
    if (time := names["at_s"]) is not None:
        per_second = 1e3 if row.keys() >= _MILLISECONDS else 1.0
        found["at_s"] = (time, lambda row: _seconds(row.get(time)) / per_second)
    if (prompt := names["prompt_tokens"]) is not None:
        found["prompt_tokens"] = (prompt, lambda row: _tokens(row.get(prompt)))
    elif text is not None:
        found["prompt_tokens"] = (text, lambda row: _tokens_of_text(text_in(row, text)))
    if (output := names["output_tokens"]) is not None:
        found["output_tokens"] = (output, lambda row: _tokens(row.get(output)))
    elif text == CONVERSATIONS:
        found["output_tokens"] = (text, lambda row: _tokens_of_text((opening(row) or ("", ""))[1]))
    if prompt is not None and _BLOCKS in row:
        found["blocks"] = (_BLOCKS, lambda row: _full_blocks(row.get(_BLOCKS), row.get(prompt)))
    if texts and text is not None:
        found["texts"] = (text, lambda row: text_in(row, text))
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


def _tokens_of_text(text: str) -> float:
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN) or 1


def _shown(value: Any) -> str:
    text = repr(value) if value is not None else "nothing"
    return text if len(text) <= 40 else text[:40] + "…"
