"""One apply at a time on one machine. The kernel frees the lock when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from enova.errors import ApplyError


@contextmanager
def exclusive(path: Path, *, what: str, now: str) -> Iterator[None]:
    """Hold the lock at `path` for the duration; raise ApplyError, naming the holder, if another has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise ApplyError(f"{holder} is at work", hint="wait for it to end, or stop it") from error
        file.truncate(0)
        file.write(f"{what} (pid {os.getpid()} on {socket.gethostname()}, since {now})")
        file.flush()
        yield
        file.truncate(0)
