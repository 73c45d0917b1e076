"""What happens to a fleet while it serves, and what its router does about it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from enova.core.router_args import router_args
from enova.core.simulate.replica import ReplicaView
from enova.core.spec.gateway import Gateway


class Retries(NamedTuple):
    """What the router does about a replica that fails; as Enova sets vllm-router (docs/gateway.md)."""

    attempts: int = 4
    """The first included. Answers that have begun are not tried again if they are streamed."""
    first_pause_s: float = 0.25
    longest_pause_s: float = 2.0
    growth: float = 1.5
    jitter: float = 0.2
    """Pauses vary by this share in both directions."""
    streamed: bool = True
    failures_until_out: int = 3
    """Failed attempts after which a replica gets no requests (the circuit breaker)."""
    noticed_after_s: float = 14.0
    """When health checks take a dead replica out in any case."""

    def pause_s(self, attempt: int, random: float) -> float:
        """Return the pause after an attempt, counted from 0; `random` is from 0 to 1."""
        pause_s = min(self.first_pause_s * self.growth**attempt, self.longest_pause_s)
        return pause_s * (1 + self.jitter * (2 * random - 1))


USUAL_RETRIES = Retries()


def retries_of(gateway: Gateway) -> Retries:
    """Return what the router of a spec's gateway does, from the arguments it gets."""
    args = router_args(gateway)

    def number(name: str, default: int) -> int:
        value = args.get(name)
        return value if isinstance(value, int) else default

    breaks = "disable_circuit_breaker" not in args
    # What nobody sets is the router's own.
    interval_s, failures = number("health_check_interval_secs", 60), number("health_failure_threshold", 3)
    return Retries(
        attempts=number("retry_max_retries", 5),
        first_pause_s=number("retry_initial_backoff_ms", 50) / 1000,
        longest_pause_s=number("retry_max_backoff_ms", 30_000) / 1000,
        failures_until_out=number("cb_failure_threshold", 10) if breaks else sys.maxsize,
        # A dead replica was out after 14 s with 3 checks 5 s apart, and after 6 s with 2 s (docs/gateway.md).
        noticed_after_s=interval_s * failures * 14 / 15,
    )


class Hold(NamedTuple):
    """What the gateway does with requests while no replica serves: it holds so many, each for so long."""

    most: int = 0
    for_s: float = 0.0


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
