"""One daemon acts on one set of specs; the next one waits, and says for whom."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from enova.adapters.lock import exclusive
from enova.errors import ApplyError

AGAIN_S = 1.0
"""A daemon that dies is followed this soon: the kernel frees its lock with it."""


def place(state_dir: Path, source: str, *, advisory: bool = False) -> Path:
    """Return the path, without its suffix, of what is kept of the daemon of these specs."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    return state_dir / "watch" / (f"{digest}-advisory" if advisory else digest)


@contextmanager
def leading(
    lock: Path, *, what: str, timestamp: Callable[[], str], say: Callable[[str], None], quitting: threading.Event
) -> Iterator[bool]:
    """Hold the lock for the duration, once it is free; yield False if `quitting` is set before."""
    told = ""
    while not quitting.is_set():
        holding = exclusive(lock, what=what, now=timestamp())
        try:
            holding.__enter__()
        except ApplyError as error:
            if error.message != told:
                told = error.message
                say(f"waiting to take over: {told}")
            quitting.wait(AGAIN_S)
            continue
        try:
            yield True
        finally:
            holding.__exit__(None, None, None)
        return
    yield False
