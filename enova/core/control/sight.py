"""What is seen of a service at a moment: all that a scaling law may know.

The same for a live service and a simulated one. What could not be seen is None, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from enova.core.simulate.replica import Stage
from enova.core.simulate.results import Metric

UP = (Stage.STARTING, Stage.READY, Stage.DOWN)
"""Stages of replicas that serve, or will."""


class ReplicaSight(NamedTuple):
    """One replica."""

    number: int
    stage: Stage
    in_flight: float | None
    """Requests sent to it and not answered to the end, as the gateway counts them."""
    running: float | None
    waiting: float | None
    kv_use: float | None
    """Share of the KV blocks in use, 0 to 1."""


class Moment(NamedTuple):
    """The replicas that serve, added up, at a moment."""

    at_s: float
    ready: int
    in_flight: float
    running: float
    waiting: float
    kv_use: float
    """Mean share of the KV blocks in use, 0 to 1."""


class Seen(Protocol):
    """What was measured over the last seconds. None: not known, or nothing to measure."""

    def arrived(self, over_s: float) -> float | None:
        """Return how many requests came to the gateway."""
        ...

    def finished(self, over_s: float) -> float | None:
        """Return how many requests were answered."""
        ...

    def met(self, over_s: float) -> tuple[float, float] | None:
        """Return how many answers met every target of the SLO, and how many there were."""
        ...

    def latency_s(self, metric: Metric, share: float, over_s: float) -> float | None:
        """Return the seconds that this share of the answers did not exceed."""
        ...

    def moments(self, over_s: float) -> Sequence[Moment]:
        """Return the looks at the fleet, oldest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is seen of a service at a moment."""

    at_s: float
    """By a clock that never jumps."""
    replicas: tuple[ReplicaSight, ...]
    """Those that have not stopped."""
    held: int
    """Requests that wait at the gateway because nothing serves."""
    seen: Seen

    @property
    def up(self) -> int:
        """Return how many replicas serve or will, those that are draining left out."""
        return sum(replica.stage in UP for replica in self.replicas)

    @property
    def ready(self) -> int:
        """Return how many replicas serve."""
        return sum(replica.stage is Stage.READY for replica in self.replicas)

    def at(self, stage: Stage) -> tuple[ReplicaSight, ...]:
        """Return the replicas at a stage."""
        return tuple(replica for replica in self.replicas if replica.stage is stage)


class Law(Protocol):
    """A way to choose the number of replicas. It may remember what it saw, so each run needs a new one."""

    @property
    def interval_s(self) -> float:
        """Return how often it is asked."""
        ...

    def decide(self, sight: Sight) -> int | None:
        """Return how many replicas there are to be; None: as it is."""
        ...
