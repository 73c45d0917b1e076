"""What happens to a fleet while it serves, and what its router does about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from enova.core.simulate.replica import ReplicaView


class Retries(NamedTuple):
    """What the router does about a replica that fails; as Enova sets vllm-router (docs/gateway.md)."""

    attempts: int = 3
    """The first included. Answers that have begun are not tried again if they are streamed."""
    first_pause_s: float = 0.05
    longest_pause_s: float = 2.0
    growth: float = 1.5
    jitter: float = 0.2
    """Pauses vary by this share in both directions."""
    streamed: bool = True
    failures_until_out: int = 10
    """Failed attempts after which a replica gets no requests (the circuit breaker)."""
    noticed_after_s: float = 14.0
    """When health checks take a dead replica out in any case."""

    def pause_s(self, attempt: int, random: float) -> float:
        """Return the pause after an attempt, counted from 0; `random` is from 0 to 1."""
        pause_s = min(self.first_pause_s * self.growth**attempt, self.longest_pause_s)
        return pause_s * (1 + self.jitter * (2 * random - 1))


class Scale(NamedTuple):
    """From now on there are to be so many replicas: more are started, or the youngest are drained."""

    at_s: float
    replicas: int


class Drain(NamedTuple):
    """One replica gets no more requests, and stops when it has answered those it has."""

    at_s: float
    number: int


class Fail(NamedTuple):
    """One replica dies with all that it has; it starts again by itself or stays away."""

    at_s: float
    number: int
    restarts: bool = True


Change = Scale | Drain | Fail


class Ticks(NamedTuple):
    """Something that looks at the fleet at regular times and may ask for another number of replicas."""

    interval_s: float
    decide: Callable[[float, Sequence[ReplicaView]], int | None]
    """From the time and what can be seen to how many replicas there are to be; None: as it is."""
