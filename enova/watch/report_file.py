"""The file a daemon reports in, and who reads it."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from enova.core.watch.report import Report, report_as_data, report_in


def write_report(path: Path, report: Report) -> None:
    """Put a report in place of the one before. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(report_as_data(report), file)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def read_report(path: Path) -> Report | None:
    """Return the last report; None where there is none, or none that this version understands."""
    try:
        return report_in(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def reports(state_dir: Path) -> Iterator[tuple[Report, bool]]:
    """Yield the last report of every daemon there was, with whether the daemon is alive."""
    for path in sorted((state_dir / "watch").glob("*.json")):
        found = read_report(path)
        if found is not None:
            yield found, _is_held(path.with_suffix(".lock"))


def _is_held(lock: Path) -> bool:
    """A lock is held by whoever lives: the kernel frees it with its holder."""
    try:
        with lock.open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
