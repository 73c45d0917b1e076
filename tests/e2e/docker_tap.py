"""A socket between Enova and Docker that notes which calls are made."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path
from typing import Self

ENGINE = "/var/run/docker.sock"
REQUEST = re.compile(rb"(?:^|\n)(GET|HEAD|POST|PUT|DELETE) (/\S+) HTTP/1\.1\r\n")


class DockerTap:
    """Listens on a socket of its own and passes everything on to Docker's."""

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        self.calls: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def writes(self) -> list[str]:
        """Return the calls that change something."""
        return [call for call in self.calls if not call.startswith(("GET", "HEAD"))]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(ENGINE)
            threading.Thread(target=self._pass_on, args=(client, engine, True), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(engine, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, note: bool) -> None:
        with source, sink:
            while data := _received(source):
                if note:
                    self.calls += [f"{verb.decode()} {path.decode()}" for verb, path in REQUEST.findall(data)]
                try:
                    sink.sendall(data)
                except OSError:
                    return


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""
