"""Steady load on one endpoint, streaming and not, that misses nothing: every request is an answer or a failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

import httpx

WORKERS = 6
TOKENS = 40


class Load:
    """Asks from as many threads as told, one request after another, from `with` to its end."""

    def __init__(self, url: str, workers: int = WORKERS) -> None:
        self._url = url
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(workers)]
        self._began_s = self.took_s = 0.0
        self.answered = 0
        self.streamed = 0
        self.failures: list[str] = []
        """Requests that got no answer."""
        self.cut: list[str] = []
        """Streams that began and did not come to their end."""

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.took_s = time.monotonic() - self._began_s

    def _ask(self, number: int) -> None:
        with httpx.Client(base_url=self._url, timeout=60, trust_env=False) as client:
            turn = number
            while not self._stop.is_set():
                turn += 1
                if turn % 2:
                    self._whole(client)
                else:
                    self._stream(client)

    def _whole(self, client: httpx.Client) -> None:
        try:
            answer = client.post(
                "/completions", json={"model": "tiny", "prompt": "x", "max_tokens": TOKENS, "ignore_eos": True}
            )
        except httpx.HTTPError as error:
            self._note(self.failures, repr(error))
            return
        if answer.status_code != httpx.codes.OK or answer.json()["usage"]["completion_tokens"] != TOKENS:
            self._note(self.failures, f"{answer.status_code} {answer.text[:200]}")
            return
        with self._lock:
            self.answered += 1

    def _stream(self, client: httpx.Client) -> None:
        request = {"model": "tiny", "prompt": "x", "max_tokens": TOKENS, "ignore_eos": True, "stream": True}
        last, began = "", False
        try:
            with client.stream("POST", "/completions", json=request) as answer:
                # From here on it is not tried again elsewhere: engines answer before they have the first token.
                began = answer.status_code == httpx.codes.OK
                for line in answer.iter_lines():
                    last = line or last
        except httpx.HTTPError as error:
            self._note(self.cut if began else self.failures, repr(error))
            return
        if last != "data: [DONE]":
            self._note(self.cut if answer.status_code == httpx.codes.OK else self.failures, last[:200])
            return
        with self._lock:
            self.streamed += 1

    def _note(self, where: list[str], words: str) -> None:
        with self._lock:
            where.append(words)
        time.sleep(0.05)


Loads = Callable[[str], AbstractContextManager[Load]]
"""Put load on an endpoint for the duration, and have it in the table at the end."""


def assert_unnoticed(load: Load) -> None:
    """Every request was answered whole, and there were some."""
    assert load.answered > 10, "there was no load"
    assert load.streamed > 10, "there was no load"
    assert (load.failures, load.cut) == ([], [])
