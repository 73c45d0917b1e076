"""One HTTP/1.1 connection: an answer at a time, parsed by httptools, kept for the next one where it may be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import cast

import httptools

from enova.adapters.injector.exchange import OK, Exchange
from enova.core.inject.outcome import Failure

EMULATED = b"x-enova-emulated"

Ended = Callable[["Connection", Exchange, bool], None]
"""Hears that an exchange is over, and whether its connection had been used before and ended without a word."""


class Connection(asyncio.Protocol):
    """Made by the pool. Times are seconds since `began_s`."""

    __slots__ = (
        "_began_s", "_emulated", "_ended", "_exchange", "_keeps", "_now_s", "_parser", "_transport", "used",
    )  # fmt: skip

    def __init__(self, began_s: float, ended: Ended) -> None:
        self._began_s = began_s
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._now_s = 0.0
        self._emulated = self._keeps = False
        self.used = False
        """Whether it has brought an answer before."""

    @property
    def usable(self) -> bool:
        """Return whether it is open and has nothing to do."""
        return self._exchange is None and self._transport is not None and not self._transport.is_closing()

    def ask(self, exchange: Exchange) -> None:
        """Send a request."""
        assert self._transport is not None  # noqa: S101 - the pool gives out usable ones only
        self._exchange = exchange
        self._transport.write(exchange.payload)

    def abandon(self) -> None:
        """Close at once; whatever is under way is not told of it."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the transport. uvloop's are no subclass of asyncio's."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Tell whoever waits."""
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            return
        now_s = monotonic() - self._began_s
        if exchange.status >= OK and exchange.closes:
            # Without a length or chunks, an answer whose head is there ends with its connection.
            exchange.complete(now_s)
        silent = self.used and not exchange.begun
        if exchange.outcome is None and not silent:
            exchange.fail(Failure.CUT_OFF if exchange.begun else Failure.RESET, now_s)
        self._ended(self, exchange, silent)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self._now_s = monotonic() - self._began_s
        exchange = self._exchange
        if exchange is None:
            # Nobody asked.
            self.abandon()
            return
        exchange.begun = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._keeps = False
            exchange.fail(Failure.GARBAGE, self._now_s)
        if exchange.outcome is not None:
            self._finish(exchange)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Look for the mark of an emulated engine, and for how the answer's end is known."""
        lower = name.lower()
        if lower == EMULATED:
            self._emulated = value == b"true"
        elif lower in (b"content-length", b"transfer-encoding") and self._exchange is not None:
            self._exchange.closes = False

    def on_headers_complete(self) -> None:
        """Take note of the status."""
        if self._exchange is not None:
            self._exchange.head(self._parser.get_status_code(), emulated=self._emulated)

    def on_body(self, data: bytes) -> None:
        """Pass on a part of the answer."""
        if self._exchange is not None:
            self._exchange.body(data, self._now_s)

    def on_message_complete(self) -> None:
        """Take note that the answer is whole."""
        exchange = self._exchange
        if exchange is not None and exchange.status >= OK:
            # What is less only announces an answer. The parser knows about a connection's end only here.
            self._keeps = self._parser.should_keep_alive()
            exchange.complete(self._now_s)

    def _finish(self, exchange: Exchange) -> None:
        keeps, self._keeps = self._keeps, False
        self.used = True
        self._exchange = None
        if not keeps and self._transport is not None:
            self._transport.abort()
        self._ended(self, exchange, False)
