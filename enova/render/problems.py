"""Problems of specs as text, JSON, and annotations that GitHub shows in a pull request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from enova.errors import Problem

SCHEMA_VERSION = 1


def as_text(problems: Iterable[Problem]) -> str:
    """Return one line for each problem: `file:line:column: key.path: message (hint: ...)`."""
    return "\n".join(str(problem) for problem in problems)


def as_json(problems: Sequence[Problem]) -> str:
    """Return `{schema_version, valid, problems: [{file, line, column, path, message, hint}]}`."""
    listed = [
        {
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "path": problem.path,
            "message": problem.message,
            "hint": problem.hint,
        }
        for problem in problems
    ]
    return json.dumps({"schema_version": SCHEMA_VERSION, "valid": not listed, "problems": listed}, indent=2)


def as_github(problems: Iterable[Problem]) -> str:
    """Return one `::error` workflow command for each problem. A problem of a whole file has no line."""
    return "\n".join(_annotation(problem) for problem in problems)


def _annotation(problem: Problem) -> str:
    place = {"file": problem.file}
    if problem.line:
        place |= {"line": str(problem.line), "col": str(problem.column)}
    if problem.path:
        place["title"] = problem.path
    properties = ",".join(f"{name}={_property(value)}" for name, value in place.items())
    hint = f" (hint: {problem.hint})" if problem.hint else ""
    return f"::error {properties}::{_data(problem.message + hint)}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
