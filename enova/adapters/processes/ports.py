"""Ports: which are free, and how a client reaches a host that is listened on."""

from __future__ import annotations

import socket
from collections.abc import Set as AbstractSet

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (recognised, not bound)
TRIES = 100


def url(host: str, port: int) -> str:
    """Return the base URL at which this machine reaches a server."""
    reachable = ANY.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen there now."""
    return _bound(host, port) is not None


def free_port(host: str, taken: AbstractSet[int]) -> int:
    """Return a free port that is not promised to another instance; OSError if there is none."""
    for _ in range(TRIES):
        port = _bound(host, 0)
        if port and port not in taken:
            return port
    raise OSError(f"no free port on {host} after {TRIES} tries")


def _bound(host: str, port: int) -> int | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((host, port))
            server.listen(1)
        except OSError:
            return None
        return int(server.getsockname()[1])
