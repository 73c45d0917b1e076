"""What a run of real load came to, in the terms of a forecast, and how well the load itself was sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from enova.core.simulate.results import Results


class Lag(NamedTuple):
    """How much later than scheduled requests were sent, in seconds; NaN if none was."""

    p50_s: float
    p99_s: float
    highest_s: float


class Tokens(NamedTuple):
    """Tokens of the requests that were answered."""

    asked: int
    counted: int
    """By the server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run of real load. Predicted and measured mean the same: one collector counts both."""

    from_schedule: Results
    """Every latency from when its request was due: what a user sees, whoever is late."""
    from_send: Results
    """Every latency from when its request was sent. Gaps between tokens are in the other one only."""
    due: int
    """Requests that were to be sent by the end of the schedule."""
    sent: int
    schedule_s: float
    """How long requests were to be sent: the load's duration, else until the last one, or until it was stopped."""
    sending_s: float
    """How long that took."""
    lag: Lag
    failures: Mapping[str, int]
    """Of all requests, by kind."""
    prompt_tokens: Tokens
    output_tokens: Tokens
    cpu_share: float
    """The most that any worker used of a core over some seconds while it was sending, 0 to 1."""
    workers: int
    closed: bool
    """Whether slow answers held requests back: users who wait, or a limit on requests in flight."""
    emulated: bool
    stopped: bool

    @property
    def asked_per_s(self) -> float:
        """Return the requests/s that were to be sent."""
        return self.due / self.schedule_s if self.schedule_s else 0.0

    @property
    def achieved_per_s(self) -> float:
        """Return the requests/s that were sent: a client that falls behind takes longer than the schedule."""
        span_s = max(self.schedule_s, self.sending_s)
        return self.sent / span_s if span_s else 0.0

    @property
    def achieved_share(self) -> float:
        """Return which share of the rate that was asked for was sent; 1 of nothing."""
        return self.achieved_per_s / self.asked_per_s if self.asked_per_s else 1.0
