"""Ctrl-C while something goes on: the first ends it cleanly, the second at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from enova.cli.session import Session

INTERRUPTED = 130
SHOW_CURSOR = "\x1b[?25h"
AFTER_STEPS = "stopping after the steps under way; Ctrl-C again exits at once (apply again to continue)"


@contextmanager
def stoppable(session: Session, say: Callable[[str], None], words: str = AFTER_STEPS) -> Iterator[threading.Event]:
    """Return an event that Ctrl-C sets, for the duration of the block; `words` say what then happens."""
    stop = threading.Event()

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            if session.stderr.isatty():
                os.write(session.stderr.fileno(), SHOW_CURSOR.encode())
            # Anything gentler would wait for the threads at work.
            os._exit(INTERRUPTED)
        stop.set()
        say(words)

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
