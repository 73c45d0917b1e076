"""What wakes the loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enova.errors import ObserveError
from enova.testing import MemoryHost, MemoryRuntime
from enova.watch import events
from enova.watch.specs import FolderSpecs
from tests.staging import replica


def test_an_instance_that_ends_wakes_it(tmp_path: Path) -> None:
    runtime = MemoryRuntime(MemoryHost())
    instance = runtime.create(replica(), {}, lambda _: None)
    runtime.start(instance)
    woken, stopped = threading.Event(), threading.Event()
    threads = events.follow(FolderSpecs(tmp_path), [runtime], woken.set, stopped)
    try:
        for _ in range(300):
            runtime.stop(instance, 0)
            if woken.wait(0.1):
                break
            runtime.start(instance)
        assert woken.is_set()
    finally:
        stopped.set()
        for thread in threads:
            thread.join(30)

    assert not any(thread.is_alive() for thread in threads)


def test_what_cannot_be_followed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "AGAIN_S", 0.01)
    tries, over = list[int](), threading.Event()

    class Blind(MemoryRuntime):
        def endings(self, stopped: Callable[[], bool]) -> Iterator[str]:
            tries.append(1)
            if len(tries) == 3:
                over.set()
            raise ObserveError("nobody answers")

    for thread in events.follow(FolderSpecs(tmp_path), [Blind(MemoryHost())], lambda: None, over):
        thread.join(30)

    assert len(tries) == 3
