"""Connections to one address: kept alive, the last one used first, and as many as there are requests under way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from time import monotonic

from enova.adapters.injector.body import address_of
from enova.adapters.injector.connection import Connection
from enova.adapters.injector.exchange import Exchange
from enova.core.inject.job import Target
from enova.core.inject.outcome import Failure


class Pool:
    """Asks on a connection that is free, or on a new one. `ended` hears of every exchange once it is over."""

    def __init__(self, target: Target, ended: Callable[[Exchange], None]) -> None:
        self._address = address_of(target)
        self.began_s = 0.0
        """Of the monotonic clock: what times count from."""
        self._told = ended
        self._free: list[Connection] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._busy: dict[Exchange, Connection] = {}

    def ask(self, exchange: Exchange) -> None:
        """Send a request now."""
        exchange.sent_s = monotonic() - self.began_s
        while self._free:
            connection = self._free.pop()
            if connection.usable:
                self._busy[exchange] = connection
                connection.ask(exchange)
                return
        self._connect(exchange)

    def abandon(self, exchange: Exchange) -> None:
        """Give up on a request that was sent."""
        connection = self._busy.pop(exchange, None)
        if connection is not None:
            connection.abandon()

    def close(self) -> None:
        """Close everything at once."""
        for task in self._connecting:
            task.cancel()
        for connection in (*self._free, *self._busy.values()):
            connection.abandon()

    def _connect(self, exchange: Exchange) -> None:
        task = asyncio.get_running_loop().create_task(self._connected(exchange))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connected(self, exchange: Exchange) -> None:
        loop = asyncio.get_running_loop()
        host, port, tls = self._address
        try:
            transport, connection = await loop.create_connection(
                lambda: Connection(self.began_s, self._ended), host, port, ssl=tls
            )
        except OSError:
            if exchange.outcome is None:
                exchange.fail(Failure.REFUSED, monotonic() - self.began_s)
                self._told(exchange)
            return
        if exchange.outcome is not None:
            # It was given up meanwhile.
            transport.abort()
            return
        if (wire := transport.get_extra_info("socket")) is not None:
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._busy[exchange] = connection
        connection.ask(exchange)

    def _ended(self, connection: Connection, exchange: Exchange, silent: bool) -> None:
        self._busy.pop(exchange, None)
        if silent and exchange.outcome is None:
            # A server may close a connection that it has not heard of for a while, just when it is used again:
            # that is no failure. It happens once, since the next one is new.
            self._connect(exchange)
            return
        if connection.usable:
            self._free.append(connection)
        self._told(exchange)
