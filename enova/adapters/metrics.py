"""vLLM's `/metrics`, asked of one server."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx

from enova.core.engine.snapshot import Snapshot
from enova.core.ledger.window import Look
from enova.core.metrics.page import look_of, snapshots_of
from enova.errors import ObserveError

T = TypeVar("T")


class HttpMetrics:
    """Read the metrics of one server, over and over."""

    def __init__(
        self, url: str, *, timeout_s: float = 5.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._monotonic = monotonic
        self._client = httpx.Client(timeout=timeout_s, trust_env=False)

    def read(self) -> Mapping[str, Snapshot]:
        """Return a snapshot of each engine by its label; raise ObserveError if there was no answer.

        Its time is the middle of the call.
        """
        return self._read(snapshots_of)

    def look(self) -> Look:
        """Return the same with the histograms of latencies."""
        return self._read(look_of)

    def close(self) -> None:
        """Give up its connection."""
        self._client.close()

    def _read(self, reader: Callable[[str, float], T]) -> T:
        before_s = self._monotonic()
        try:
            answer = self._client.get(f"{self._url}/metrics").raise_for_status()
            return reader(answer.text, (before_s + self._monotonic()) / 2)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise ObserveError(
                f"metrics of {self._url} could not be read: {error}",
                hint="check the address; a server started with --disable-log-stats has no metrics",
            ) from error


def look_at(url: str, monotonic: Callable[[], float] = time.monotonic) -> Look:
    """Return what the metrics of one server say now, by a clock. Raises ObserveError."""
    metrics = HttpMetrics(url.rstrip("/"), monotonic=monotonic)
    try:
        return metrics.look()
    finally:
        metrics.close()
