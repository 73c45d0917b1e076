"""Recorded rates: how many requests came in a second at one time after another, not the requests themselves."""

from __future__ import annotations

import math
from pathlib import Path

from enova.adapters.traces.rows import Row, rows_in
from enova.errors import Problem, RecordingError

TIMES = ("t_s", "timestamp", "at_s")
RATES = ("rate_rps", "requests_per_s", "rps", "rate")
MAX_PROBLEMS = 100


def is_of_rates(path: str) -> bool:
    """Tell by its first row whether a file holds rates; a file that cannot be read does not."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            first = next(iter(rows_in(path, file, [])), None)
    except (OSError, UnicodeDecodeError):
        return False
    return first is not None and _column(first[1], TIMES) is not None and _column(first[1], RATES) is not None


def read_rates(path: str) -> tuple[tuple[float, float], ...]:
    """Return times in seconds from the first, ascending, and the requests/s at each; at least two of them.

    Raises:
        RecordingError: with all that is wrong in the file, by line.
    """
    problems: list[Problem] = []
    found: list[tuple[float, float]] = []
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            for line, row in rows_in(path, file, problems):
                _take(path, line, row, found, problems)
                if len(problems) >= MAX_PROBLEMS:
                    break
    except UnicodeDecodeError as error:
        problems.append(Problem(path, 0, 0, "", f"is not UTF-8: {error.reason}"))
    except OSError as error:
        problems.append(Problem(path, 0, 0, "", f"cannot be read: {error.strerror}"))
    if not problems and len(found) < 2:
        problems.append(Problem(path, 0, 0, "", "holds fewer than two rates"))
    if problems:
        raise RecordingError(problems)
    first_s = found[0][0]
    return tuple((at_s - first_s, per_s) for at_s, per_s in found)


def _take(path: str, line: int, row: Row, found: list[tuple[float, float]], problems: list[Problem]) -> None:
    numbers = []
    for names in (TIMES, RATES):
        column = _column(row, names)
        value = row.get(column) if column else None
        try:
            number = float(value) if value is not None else math.nan
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or number < 0:
            problems.append(Problem(path, line, 0, column or names[0], f"{value!r} is not a number of at least 0"))
        numbers.append(number)
    at_s, per_s = numbers
    if found and at_s <= found[-1][0]:
        problems.append(Problem(path, line, 0, "", f"time {at_s:g} does not come after {found[-1][0]:g}"))
    if math.isfinite(at_s) and math.isfinite(per_s):
        found.append((at_s, per_s))


def _column(row: Row, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in row), None)
