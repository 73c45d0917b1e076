"""Files with an injection report of Enova's own."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from enova.core.workload.report import KIND, InjectionReport
from enova.errors import Problem


def is_report(path: Path) -> bool:
    """Return whether a file says that it is such a report."""
    if path.suffix != ".json":
        return False
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError):
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


def read_report(path: Path) -> tuple[InjectionReport | None, list[Problem]]:
    """Return the report in a file, None if anything is wrong with it, and everything that is."""
    try:
        return InjectionReport.model_validate_json(path.read_text(encoding="utf-8")), []
    except ValidationError as error:
        return None, [
            Problem(str(path), 0, 0, ".".join(str(part) for part in found["loc"]), found["msg"])
            for found in error.errors()
        ]
