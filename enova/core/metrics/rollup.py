"""What came to a service and what it did, minute by minute: what forecasts are backtested on.

Amounts are spread evenly over the time in which they came. That of a minute nobody looked at is therefore a guess,
and `seen_s` says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MINUTE_S = 60
FARTHEST_S = 24 * 3600.0
"""What came in a longer time is spread over the last day of it."""
MOST_ROWS = 50_000
"""Held while they cannot be written; then the oldest are given up."""

ARRIVED, SEEN_S = "arrived", "seen_s"
FINISHED, PROMPT_TOKENS, OUTPUT_TOKENS = "finished", "prompt_tokens", "output_tokens"
WATCHED_S, REPLICA_S = "watched_s", "replica_s"
GPU_S, GPU_BUSY_S = "gpu_s", "gpu_busy_s"
AMOUNTS = (
    ARRIVED, SEEN_S, FINISHED, PROMPT_TOKENS, OUTPUT_TOKENS, WATCHED_S, REPLICA_S, GPU_S, GPU_BUSY_S,
)  # fmt: skip
"""What is added up: requests and tokens; seconds arrivals were seen for; seconds all replicas were seen for, and
how many of them times that; seconds GPUs were seen for, and were busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """A minute of a service. None: nobody knows."""

    service: str
    at_s: float
    """Unix time it began."""
    seen_s: float
    """For how much of it arrivals were seen as they came. Of the rest they are known as a sum over a longer time,
    or not at all."""
    arrived: float | None
    """Requests that came to the gateway."""
    finished: float | None
    """Requests that replicas have answered."""
    prompt_tokens: float | None
    """Of requests that got their first token, cached ones included."""
    output_tokens: float | None
    replicas: float | None
    """Mean number of those that were serving, while all of them were seen."""
    gpu_use: float | None
    """Share of the time in which its GPUs computed."""

    @property
    def arrived_per_s(self) -> float | None:
        """Return requests/s."""
        return None if self.arrived is None else self.arrived / MINUTE_S


def rollup_of(service: str, at_s: float, amounts: Mapping[str, float]) -> Rollup:
    """Return a minute from what was added up for it."""
    return Rollup(
        service=service,
        at_s=at_s,
        seen_s=amounts.get(SEEN_S, 0.0),
        arrived=_amount(amounts, ARRIVED),
        finished=amounts.get(FINISHED),
        prompt_tokens=amounts.get(PROMPT_TOKENS),
        output_tokens=amounts.get(OUTPUT_TOKENS),
        replicas=_mean(amounts, REPLICA_S, WATCHED_S),
        gpu_use=_mean(amounts, GPU_BUSY_S, GPU_S),
    )


@dataclass(slots=True)
class Book:
    """What is not written yet: amounts by service and minute."""

    rows: dict[tuple[str, int], dict[str, float]] = field(default_factory=dict)

    def add(self, service: str, until_s: float, length_s: float, amounts: Mapping[str, float]) -> None:
        """Add what came in `length_s` up to a Unix time."""
        length_s = min(length_s, FARTHEST_S)
        for minute_s, share in _minutes(until_s, length_s):
            row = self.rows.setdefault((service, minute_s), {})
            for name, amount in amounts.items():
                row[name] = row.get(name, 0.0) + amount * share
        while len(self.rows) > MOST_ROWS:
            del self.rows[min(self.rows, key=lambda key: key[1])]


def _minutes(until_s: float, length_s: float) -> Iterator[tuple[int, float]]:
    """Yield the minutes of a time, and the share of it that is in each."""
    first_s = until_s - length_s
    minute_s = int(first_s // MINUTE_S) * MINUTE_S
    if length_s <= 0 or minute_s + MINUTE_S >= until_s:
        yield minute_s, 1.0
        return
    while minute_s < until_s:
        inside_s = min(until_s, minute_s + MINUTE_S) - max(first_s, minute_s)
        yield minute_s, inside_s / length_s
        minute_s += MINUTE_S


def _amount(amounts: Mapping[str, float], name: str) -> float | None:
    # A retry is counted before its attempt, so that a minute may begin with a little less than nothing.
    return max(0.0, amounts[name]) if name in amounts else None


def _mean(amounts: Mapping[str, float], total: str, weight: str) -> float | None:
    return amounts[total] / amounts[weight] if amounts.get(weight) and total in amounts else None
