"""From a request of a load to the bytes that ask for it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from enova import __version__
from enova.core.inject.job import Target
from enova.core.workload.prompts import Prompts
from enova.core.workload.request import Request
from enova.errors import ApplyError

PATHS = {"completions": "/v1/completions", "chat": "/v1/chat/completions"}


class Address(NamedTuple):
    """Where a target listens."""

    host: str
    port: int
    tls: ssl.SSLContext | None


def address_of(target: Target) -> Address:
    """Return where to connect."""
    parts = urlsplit(target.url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    return Address(parts.hostname or "", port, ssl.create_default_context() if secure else None)


def asking(target: Target, prompts: Prompts) -> Callable[[Request], bytes]:
    """Return what makes the bytes of a request. Raises ApplyError for a key that no header can carry."""
    start = head_of(target)
    fixed: dict[str, Any] = {**target.body, "model": target.model, "stream": target.stream}
    if target.stream:
        fixed["stream_options"] = {"include_usage": True}
    if target.ignore_eos:
        fixed["ignore_eos"] = True
    chat = target.api == "chat"

    def ask(request: Request) -> bytes:
        prompt = prompts.of(request)
        said = {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
        body = orjson.dumps({**fixed, **said, "max_tokens": request.output_tokens})
        return b"%s%d\r\n\r\n%s" % (start, len(body), body)

    return ask


def head_of(target: Target) -> bytes:
    """Return the head of a request up to its length. Raises ApplyError for a key that no header can carry."""
    parts = urlsplit(target.url)
    lines = [
        f"POST {parts.path.rstrip('/')}{PATHS[target.api]} HTTP/1.1",
        f"host: {parts.netloc.rpartition('@')[2]}",
        f"user-agent: enova/{__version__}",
        "accept: */*",
        "content-type: application/json",
    ]
    if target.key is not None:
        # Checked here because a header must not end in the middle of a key, and no error may quote one.
        if not target.key or not target.key.isascii() or not target.key.isprintable():
            raise ApplyError(
                "the API key is empty or holds characters that no HTTP header can carry",
                hint="check the file or environment variable it is read from (a line end at its end?)",
            )
        lines.append(f"authorization: Bearer {target.key}")
    return "\r\n".join([*lines, "content-length: "]).encode()
