"""The daemon's port: whether it is alive and ready, its metrics, and a hook that has it look now."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from enova.errors import EnovaError

START_S = 10.0

Check = Callable[[], str]
"""Returns what is wrong, in words; empty: nothing is."""


@contextmanager
def served(
    host: str, port: int, *, healthy: Check, ready: Check, registry: CollectorRegistry, hook: Callable[[], None]
) -> Iterator[int]:
    """Answer on a port for the duration, and yield its number. Raises EnovaError where it is taken."""

    def check(found: Check) -> Callable[[Request], Response]:
        def answer(_: Request) -> Response:
            wrong = found()
            return PlainTextResponse(f"{wrong or 'ok'}\n", status_code=503 if wrong else 200)

        return answer

    def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    def look(_: Request) -> Response:
        hook()
        return PlainTextResponse("it looks now\n", status_code=202)

    routes = [
        Route("/healthz", check(healthy)),
        Route("/readyz", check(ready)),
        Route("/metrics", metrics),
        Route("/hook", look, methods=["POST"]),
    ]
    config = uvicorn.Config(
        Starlette(routes=routes), host=host, port=port, log_config=None, access_log=False, lifespan="off"
    )
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise EnovaError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}",
            hint="choose another with --listen, or none with --listen none",
        ) from error
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="serve", daemon=True)
    thread.start()
    deadline_s = time.monotonic() + START_S
    while not server.started and time.monotonic() < deadline_s:
        time.sleep(0.01)
    try:
        yield int(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(START_S)
        listening.close()
