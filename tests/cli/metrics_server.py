"""A server that says what vLLM's `/metrics` would."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from tests.cli.terminal import Machine

EVERY_S = 0.5
"""From one page to the next, by its clock."""


class Server:
    """Serves one page after the other, and the last one from then on. Its clock moves on with each page."""

    def __init__(self, pages: list[str]) -> None:
        self.pages, self.served = pages, 0

    def now_s(self) -> float:
        return EVERY_S * self.served

    def page(self) -> str:
        self.served += 1
        return self.pages[min(self.served, len(self.pages)) - 1]

    @contextmanager
    def at(self, machine: Machine) -> Iterator[str]:
        """Yield its address, and let the machine go by its clock."""
        machine.monotonic = self.now_s
        with HTTPServer(("127.0.0.1", 0), self._handler()) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        page = self.page

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = page().encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
