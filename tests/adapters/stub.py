"""HTTP servers that give fixed answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answers = dict[str, tuple[int, Any]]
"""Path -> status, and body: text as it is, anything else as JSON."""


@contextmanager
def stub(
    answers: Answers, headers: Mapping[str, str] | None = None
) -> Iterator[tuple[str, list[tuple[str, str | None, Any]]]]:
    """Serve fixed answers; yields the base URL and what was asked: path, authorization, JSON body."""
    received: list[tuple[str, str | None, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            received.append((self.path, self.headers.get("Authorization"), json.loads(sent) if sent else None))
            status, body = answers.get(self.path, (404, "no such page"))
            encoded = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(encoded)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(encoded)

        do_POST = do_GET  # noqa: N815 - the base class looks for it

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Keep the test output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()
