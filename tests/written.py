"""Whether a file was written, of which only reading leaves no trace."""

from __future__ import annotations

from pathlib import Path


def written(path: Path) -> tuple[int, int]:
    """Return what changes whenever a file is written or replaced, and by nothing else."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns
