"""What wakes the loop: files that change, and instances that end. Each is followed in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from enova.core.runtime import Runtime
from enova.errors import EnovaError
from enova.watch.specs import Specs

AGAIN_S = 5.0
"""After something could not be followed. The loop looks now and then all the same."""


def follow(
    specs: Specs, runtimes: list[Runtime], wake: Callable[[], None], stopped: threading.Event
) -> list[threading.Thread]:
    """Start to call `wake` on every change, until `stopped`; return the threads."""

    def of_runtime(runtime: Runtime) -> Callable[[], None]:
        def endings() -> None:
            for _ in runtime.endings(stopped.is_set):
                wake()

        return endings

    followed = {"specs": lambda: specs.follow(wake, stopped)} | {one.name: of_runtime(one) for one in runtimes}
    threads = [
        threading.Thread(target=_over_and_over, args=(what, stopped), name=f"follow-{name}", daemon=True)
        for name, what in followed.items()
    ]
    for thread in threads:
        thread.start()
    return threads


def _over_and_over(what: Callable[[], None], stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            what()
        except EnovaError:
            # That it cannot be looked at is what the loop finds, and says.
            stopped.wait(AGAIN_S)
