"""The seams between decisions and the world: what a runtime, a gateway and an engine can be asked to do.

Implementations live in enova.adapters; in-memory ones in enova.testing. One contract suite holds all runtimes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from enova.core.launch import Launch
from enova.core.observed import Health, Instance, Look, Routes

Report = Callable[[str], None]
"""Takes a line of progress in words ("pulling vllm/vllm-openai:v0.32.0: 41 %")."""


class Runtime(Protocol):
    """Where instances run. Every call may raise ObserveError (could not look) or ApplyError (could not do).

    All of them are idempotent: creating what is there, starting what runs, stopping what stopped and removing what
    is gone succeed. Instances are found by what is recorded on them, so a new Runtime object, in a new process,
    sees all that an earlier one started.
    """

    name: str

    def look(self) -> Look:
        """Return everything that is ours here, whatever its state, and the names others hold."""
        ...

    def get(self, instance_id: str) -> Instance | None:
        """Return one instance as it is now, or None if it is gone."""
        ...

    def create(self, launch: Launch, secrets: Mapping[str, str], report: Report) -> str:
        """Make the instance without starting it and return its id. The name is `instance_name(launch)`.

        An instance of ours with that name is returned as it is; a stranger's with that name is an ApplyError.
        """
        ...

    def start(self, instance_id: str) -> None:
        """Start a created or exited instance."""
        ...

    def stop(self, instance_id: str, timeout_s: float) -> None:
        """Ask it to end, and end it by force after `timeout_s`."""
        ...

    def remove(self, instance_id: str) -> None:
        """Remove a stopped instance and all that is kept for it. A running one is stopped by force."""
        ...

    def remember_routes(self, instance_id: str, worker_urls: frozenset[str]) -> None:
        """Keep a gateway's workers with it, so that it finds them again when the runtime restarts it by itself.

        A runtime that restarts nothing has nothing to do here.
        """
        ...

    def logs(self, instance_id: str, *, tail: int | None, follow: bool) -> Iterator[str]:
        """Yield log lines, oldest first, without line ends; the last `tail` of them, then new ones if `follow`."""
        ...

    def endings(self, stopped: Callable[[], bool]) -> Iterator[str]:
        """Yield the name of each instance that ends or disappears from now on, until soon after `stopped()`.

        It says when to look, and may tell one ending twice. Raises ObserveError where nothing is seen any more.
        """
        ...


class Gateway(Protocol):
    """The router's own HTTP API. `url` is the gateway instance's base URL."""

    def routes(self, url: str) -> Routes:
        """Return the worker URLs it routes to; None if nothing listens; Unknown if it does not make sense."""
        ...

    def add(self, url: str, worker_url: str) -> None:
        """Route to a worker. Adding one twice succeeds."""
        ...

    def remove(self, url: str, worker_url: str) -> None:
        """Stop routing new requests to a worker; its streams go on. Removing an unknown one succeeds."""
        ...


class Engine(Protocol):
    """What is asked of a replica over HTTP. `url` is the replica's base URL as this host reaches it."""

    def health(self, url: str) -> Health:
        """Return what it says of itself.

        STARTING where nothing listens; UNHEALTHY where something does and says no, or nothing in time.
        """
        ...

    def probe(self, url: str, *, prompt: str, max_tokens: int, timeout_s: float, api_key: str | None) -> None:
        """Have it generate for real; raise ApplyError, with what it said, if it does not."""
        ...

    def in_flight(self, url: str) -> int | None:
        """Return the number of requests running or waiting; None if it could not be read."""
        ...
