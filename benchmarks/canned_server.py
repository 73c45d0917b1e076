"""An OpenAI-compatible server without any delay, and the yardstick for injectors: it notes when requests arrive.

Every request gets the same stream of tokens, in one write, from one process on one core. `GET /arrivals` gives the
times at which requests came (seconds of the system's monotonic clock) and forgets them. A server of a few dozen
lines answers more requests than any client on the same machine can send, so what is measured is the client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from array import array
from typing import cast

import uvloop

MODEL = "canned"


def answer(tokens: int, *, chat: bool) -> bytes:
    """Return a whole HTTP answer that streams so many tokens, the end, and the usage."""
    kind = "chat.completion.chunk" if chat else "text_completion"
    head = {"id": "cmpl-0", "object": kind, "created": 0, "model": MODEL}
    choices = []
    for number in range(tokens):
        text = {"delta": {"content": " word"}} if chat else {"text": " word"}
        reason = "length" if number == tokens - 1 else None
        choices.append({"index": 0, **text, "logprobs": None, "finish_reason": reason})
    events = [{**head, "choices": [choice]} for choice in choices]
    usage = {"prompt_tokens": 16, "completion_tokens": tokens, "total_tokens": 16 + tokens}
    events.append({**head, "choices": [], "usage": usage})
    body = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events) + b"data: [DONE]\n\n"
    start = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return start + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, answers: dict[bytes, bytes], arrivals: array[float]) -> None:
        self.answers = answers
        self.arrivals = arrivals
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            path = head.split(b" ", 2)[1]
            if path in self.answers:
                self.arrivals.append(now_s)
                self.transport.write(self.answers[path])
            else:
                self.transport.write(self.other(path))

    def other(self, path: bytes) -> bytes:
        found: object = {}
        if path == b"/v1/models":
            found = {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "-"}]}
        elif path == b"/arrivals":
            found = self.arrivals.tolist()
            del self.arrivals[:]
        body = json.dumps(found).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        return head % len(body) + body


async def serve(port: int, tokens: int) -> None:
    """Serve until the process ends."""
    answers = {
        b"/v1/completions": answer(tokens, chat=False),
        b"/v1/chat/completions": answer(tokens, chat=True),
    }
    arrivals = array("d")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answers, arrivals), "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=16, help="in every answer")
    parser.add_argument("--core", type=int, help="the only core to use")
    given = parser.parse_args()
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})
    uvloop.run(serve(given.port, given.tokens))
