"""`enova.lock` files: read whole, written at once or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from enova.core.lockfile import Entry, Lock, lock_in, lock_text
from enova.errors import LockError


def read_lock(path: Path) -> dict[str, Entry]:
    """Return the entries of a lock file; none where there is no file. Raises LockError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"{path}: cannot be read: {error}", hint="check the file, or restore it from git") from error
    return lock_in(text, str(path))


def write_lock(path: Path, lock: Lock) -> bool:
    """Write a lock file unless it holds just that already; tell whether it was written. Raises LockError."""
    text = lock_text(lock)
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return False
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"{path}: cannot be written: {error}", hint="check the folder, or use --locked") from error
    return True
