"""From a file to a recording, or to everything that is wrong in it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from enova.adapters.traces.rows import Values, rows_of
from enova.adapters.traces.texts import FORMS, Form, form_of, tokens_in, usable
from enova.core.workload.chains import chains_of
from enova.core.workload.recording import Recording
from enova.errors import Problem, RecordingError

MAX_PROBLEMS = 100

_COLUMNS = {
    "at_s": ("timestamp", "arrival_s", "arrived_at"),
    "prompt_tokens": (
        *("prompt_tokens", "contexttokens", "input_length", "input_tokens", "num_prefill_tokens"),
        "request tokens",
    ),
    "output_tokens": (
        *("output_tokens", "generatedtokens", "output_length", "num_decode_tokens"),
        "response tokens",
    ),
}
_BLOCKS = "hash_ids"
_FAILED = "response tokens"
"""Where BurstGPT says 0, the request failed."""
TOKENS_PER_BLOCK = 512
"""Of the blocks that Mooncake's traces name."""
_MILLISECONDS = frozenset({"timestamp", "input_length"})
"""With both of these columns it is Mooncake's form."""

Columns = Mapping[str, tuple[str, Callable[[Values], Any]]]
"""For each column of a recording, what it is called in the file, and how its value is read from a row."""


def read_recording(path: str, *, texts: bool = False) -> Recording:
    """Return the columns of a trace or a dataset, sorted by time if there are times; with prompts if asked for.

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
    form: Form | None = None
    left_out = 0
    for line, place, values in rows_of(path, file, problems):
        if columns is None:
            form = form_of(values)
            columns = _columns_of(values, form, texts=texts)
        if not columns:
            words = "has none of the columns timestamp, prompt_tokens, output_tokens, nor prompts as text"
            known = ", ".join(form.column for form in FORMS)
            names = ", ".join(values) or "none"
            problems.append(Problem(path, line, 0, "", words, f"it has {names}; texts are in one of {known}"))
            break
        try:
            if _is_left_out(values, form):
                left_out += 1
                continue
        except ValueError as error:
            problems.append(Problem(path, line, 0, f"{place}{form.column if form else ''}", str(error)))
            continue
        for name, (column, value_of) in columns.items():
            try:
                found[name].append(value_of(values))
            except ValueError as error:
                problems.append(Problem(path, line, 0, f"{place}{column}", str(error)))
        if len(problems) >= MAX_PROBLEMS:
            break
    if not found and not problems:
        problems.append(Problem(path, 0, 0, "", "holds no requests"))
    estimated = form is not None and columns is not None and columns["prompt_tokens"][0] == form.column
    return Recording() if problems else _sorted(found, estimated=estimated, left_out=left_out)


def _sorted(found: Mapping[str, Sequence[Any]], *, estimated: bool, left_out: int) -> Recording:
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
    return Recording(
        at_s=None if at_s is None else at_s[order] - at_s.min(),
        **tokens,
        prefixes=prefixes,
        texts=tuple(found["texts"][place] for place in order.tolist()) if "texts" in found else None,
        estimated=estimated,
        left_out=left_out,
    )


def _columns_of(values: Values, form: Form | None, *, texts: bool) -> Columns:
    """Return the columns a file has, going by its first row."""
    names = {ours: next((name for name in theirs if name in values), None) for ours, theirs in _COLUMNS.items()}
    found: dict[str, tuple[str, Callable[[Values], Any]]] = {}
    if (time := names["at_s"]) is not None:
        per_second = 1e3 if values.keys() >= _MILLISECONDS else 1.0
        found["at_s"] = (time, lambda row: _seconds(row.get(time)) / per_second)
    if (prompt := names["prompt_tokens"]) is not None:
        found["prompt_tokens"] = (prompt, lambda row: _tokens(row.get(prompt)))
    elif form is not None:
        found["prompt_tokens"] = (form.column, lambda row: tokens_in(form.prompt(row)))
    if (output := names["output_tokens"]) is not None:
        found["output_tokens"] = (output, lambda row: _tokens(row.get(output)))
    elif form is not None and (answer := form.answer) is not None and form.answers in values:
        found["output_tokens"] = (form.answers, lambda row: tokens_in(answer(row)))
    if prompt is not None and _BLOCKS in values:
        found["blocks"] = (_BLOCKS, lambda row: _full_blocks(row.get(_BLOCKS), row.get(prompt)))
    if texts and form is not None:
        found["texts"] = (form.column, form.prompt)
    return found


def _is_left_out(values: Values, form: Form | None) -> bool:
    failed = values.get(_FAILED) in ("0", 0)
    return failed or (form is not None and not usable(form, values))


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


def _shown(value: Any) -> str:
    text = repr(value) if value is not None else "nothing"
    return text if len(text) <= 40 else text[:40] + "…"
