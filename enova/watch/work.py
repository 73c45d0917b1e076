"""What is under way: one service's actions in one thread, so that none waits for another's model to load."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from enova.errors import EnovaError
from enova.executor import Listener, Result
from enova.tick import Tick, apply
from enova.world import World


@dataclass(frozen=True, slots=True)
class Job:
    """One plan for one service while it is carried out."""

    service: str
    digest: str
    """Of the version that is brought about, as it was before anything was chosen for it; empty for a removal."""
    spec: str
    """The digest of its spec alone."""
    tick: Tick
    stop: threading.Event = field(default_factory=threading.Event)
    """Set to give it up at its next step."""

    @property
    def gpus(self) -> frozenset[str]:
        """Return the GPUs that what it starts was promised."""
        return frozenset(gpu for one in self.tick.plan.actions if one.launch for gpu in one.launch.devices)


Ended = Callable[[Job, Result | None, str], None]
"""Takes what became of a job: its result, or else why there is none."""


class Work:
    """The jobs of all services, at most one each."""

    def __init__(self, world: World, listener: Listener, over: Callable[[], None] = lambda: None) -> None:
        """`over` is called, in the job's thread, once a service is not busy any more."""
        self.enough = threading.Event()
        """Once set, actions under way come to their end and no other is begun."""
        self._world, self._listener, self._over = world, listener, over
        self._jobs: dict[str, tuple[Job, threading.Thread]] = {}
        self._lock = threading.Lock()

    def begin(self, job: Job, ended: Ended) -> None:
        """Start on a service that is not busy. `ended` is called in the job's thread, before it is forgotten."""
        thread = threading.Thread(target=self._run, args=(job, ended), name=f"work-{job.service}", daemon=True)
        with self._lock:
            self._jobs[job.service] = (job, thread)
        thread.start()

    def jobs(self) -> dict[str, Job]:
        """Return what is under way, by service."""
        with self._lock:
            return {name: job for name, (job, _) in self._jobs.items()}

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until all is over that is under way now; `timeout_s` bounds the wait for each."""
        with self._lock:
            threads = [thread for _, thread in self._jobs.values()]
        for thread in threads:
            thread.join(timeout_s)

    def _run(self, job: Job, ended: Ended) -> None:
        result, trouble = None, ""
        try:
            result = apply(job.tick, self._world, self._listener, job.stop, self.enough)
        except EnovaError as error:
            trouble = error.message
        except Exception as error:  # noqa: BLE001 - a mistake in one service's rollout must not end the others'
            trouble = f"unexpected {type(error).__name__}: {error}"
        try:
            ended(job, result, trouble)
        finally:
            with self._lock:
                del self._jobs[job.service]
            self._over()
