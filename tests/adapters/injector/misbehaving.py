"""An HTTP server that answers each request as it is told to, over plain sockets: well, late, badly, or never."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

Behaviour = Callable[["Client", int], bool]
"""Answers request number n of a server; returns whether the connection is kept."""

TOKENS = 4
_NAMED = b'{"object": "list", "data": [{"id": "m"}]}'
MODELS = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(_NAMED), _NAMED)
"""A server always says what it serves, whatever becomes of requests."""
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


@dataclass
class Client:
    """One connection, from the server's side."""

    wire: socket.socket
    server: Server
    turns: int = 0
    """How many requests it brought."""

    def send(self, data: bytes) -> None:
        self.wire.sendall(data)

    def wait(self, seconds: float) -> None:
        """Pause, but not beyond the server's end."""
        self.server.ended.wait(seconds)

    def reset(self) -> None:
        """End the connection without a word."""
        self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wire.close()


@dataclass
class Server:
    """What was asked, and when it is over."""

    behaviour: Behaviour
    url: str = ""
    heads: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)
    """Of the monotonic clock."""
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    """Requests that were answered at the same time."""
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, wire: socket.socket) -> None:
        client, buffer = Client(wire, self), b""
        with self.lock:
            self.connections += 1
        wire.settimeout(0.1)
        with wire, suppress(OSError):
            while not self.ended.is_set():
                try:
                    data = wire.recv(1 << 16)
                except TimeoutError:
                    continue
                if not data:
                    return
                buffer += data
                head, mark, rest = buffer.partition(b"\r\n\r\n")
                lines = [line.lower() for line in head.split(b"\r\n")]
                length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
                if not mark or len(rest) < length:
                    continue
                buffer = rest[length:]
                if head.startswith(b"GET"):
                    client.send(MODELS if head.startswith(b"GET /v1/models ") else NOT_FOUND)
                elif not self.answer(client, head.decode(), rest[:length]):
                    return

    def answer(self, client: Client, head: str, body: bytes) -> bool:
        client.turns += 1
        with self.lock:
            number = len(self.heads)
            self.heads.append(head)
            self.bodies.append(json.loads(body))
            self.arrived_s.append(time.monotonic())
            self.open_now += 1
            self.most_open = max(self.most_open, self.open_now)
        try:
            keeps = self.behaviour(client, number)
        finally:
            with self.lock:
                self.open_now -= 1
        if not keeps:
            with suppress(OSError):
                client.wire.shutdown(socket.SHUT_RDWR)
        return keeps


@contextmanager
def misbehaving(behaviour: Behaviour) -> Iterator[Server]:
    """Yield a server that listens."""
    server = Server(behaviour)
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        listener.settimeout(0.05)
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def accept() -> None:
            while not server.ended.is_set():
                with suppress(TimeoutError):
                    wire, _ = listener.accept()
                    threads.append(threading.Thread(target=server.serve, args=(wire,)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield server
        finally:
            server.ended.set()
            accepting.join()
            for thread in threads:
                thread.join()


def events(tokens: int = TOKENS) -> list[bytes]:
    """Return the events of a good completion."""
    choices = [
        {"index": 0, "text": " word", "finish_reason": "length" if place == tokens - 1 else None}
        for place in range(tokens)
    ]
    said = [{"choices": [choice], "usage": None} for choice in choices]
    usage = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens}
    texts = [*map(json.dumps, said), json.dumps({"choices": [], "usage": usage}), "[DONE]"]
    return [f"data: {text}\n\n".encode() for text in texts]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
WHOLE = b'{"choices": [{"text": "x"}], "usage": {"prompt_tokens": 8, "completion_tokens": 4}}'


def well(client: Client, number: int) -> bool:
    """Answer with a stream, token by token; or in one piece if that is asked for."""
    if not client.server.bodies[number].get("stream"):
        return saying("200 OK", WHOLE)(client, number)
    client.send(HEAD)
    for event in events():
        client.send(chunk(event))
    client.send(END)
    return True


def after(seconds: float, then: Behaviour = well) -> Behaviour:
    """Wait before each answer."""

    def behaviour(client: Client, number: int) -> bool:
        client.wait(seconds)
        return then(client, number)

    return behaviour


def saying(status: str, body: bytes = b'{"error": {"message": "no"}}', headers: bytes = b"") -> Behaviour:
    """Answer in one piece."""

    def behaviour(client: Client, _: int) -> bool:
        length = b"content-length: %d\r\n" % len(body)
        client.send(b"HTTP/1.1 " + status.encode() + b"\r\n" + headers + length + b"\r\n" + body)
        return True

    return behaviour


def streaming(*parts: bytes, keep: bool = False) -> Behaviour:
    """Begin a stream, say something in it, and end the connection or the stream."""

    def behaviour(client: Client, _: int) -> bool:
        client.send(HEAD)
        for part in parts:
            client.send(chunk(part))
        if keep:
            client.send(END)
        return keep

    return behaviour


def resetting(client: Client, _: int) -> bool:
    """Reset the connection instead of an answer."""
    client.reset()
    return False


def raw(data: bytes) -> Behaviour:
    """Answer with anything."""

    def behaviour(client: Client, _: int) -> bool:
        client.send(data)
        return False

    return behaviour


def for_ever(client: Client, _: int) -> bool:
    """Never answer."""
    client.wait(60.0)
    return False
