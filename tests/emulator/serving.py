"""Serve an emulated engine on a real loopback port, inside the test's process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from enova.emulator.arguments import Settings
from enova.emulator.server import Server

FAST = 20.0
SLOW = 0.05
"""The small engine has its first token after 0.4 s, and each of the others 0.1 s later."""

Serve = Callable[[Settings], str]


def settings(**changes: object) -> Settings:
    """Return the settings of a small and fast engine, changed as said."""
    return Settings(**({"model": "tiny", "speed": FAST} | changes))  # type: ignore[arg-type]


@contextmanager
def served(wanted: Settings) -> Iterator[str]:
    """Serve until the block ends; yield the base URL."""
    with socket.create_server((wanted.host, 0)) as listener:
        server = Server(wanted)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://{wanted.host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            assert not thread.is_alive()
