"""A share of the replicas on trial: how many, for how long, and whether they do worse than the others.

Judged on errors, on what users are promised, and where nothing is promised of a latency on that of the others.
What is not worse for certain is not worse: a percentile of a histogram is known to its bucket only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from enova.core.ledger.records import Measured
from enova.core.ledger.window import Window, latencies_of

ENOUGH = 20
"""Answers on either side, below which a percentile says nothing."""
FEW_ERRORS = 3
"""Errors that may be chance, whatever their share."""
MORE_ERRORS = 0.01
"""Of the answers, above twice the share of the others."""
UNPROMISED = (("ttft", "p95"), ("itl", "p95"), ("itl", "mean"))
"""What is compared where the spec promises nothing. Of all means this one is of the most values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """How new replicas are tried before the rest follows."""

    share: float
    """Of the replicas, 0 to 1; at least one is tried."""
    duration_s: float
    slower: float = 0.2
    """By what share they may be slower than the others in what nothing is promised of."""
    targets: tuple[tuple[str, str, float], ...] = ()
    """What is promised: latency, statistic, and the most it may be, in seconds."""

    def count(self, replicas: int) -> int:
        """Return how many of so many replicas are tried."""
        # Rounded up, but not for the last digits of a product.
        return max(1, math.ceil(round(self.share * replicas, 9)))


@dataclass(frozen=True, slots=True)
class Side:
    """What the new replicas, or the old ones, did in the same time."""

    answers: float
    """With and without an error."""
    errors: float
    figures: Mapping[str, Measured]
    """By latency and statistic: `ttft.p95`, seconds."""

    @property
    def enough(self) -> bool:
        """Return whether there is something to judge."""
        return self.answers >= ENOUGH


def side_of(windows: Sequence[Window]) -> Side:
    """Return what replicas did together, one window each. Different buckets are a ValueError."""
    errors = sum(window.errors or 0.0 for window in windows)
    return Side(
        sum(window.finished for window in windows) + errors, errors, latencies_of(windows) if windows else {}
    )


def worse(new: Side, old: Side, canary: Canary) -> tuple[str, ...]:
    """Return in what the new replicas do worse than the old ones, in words; nothing: in nothing for certain."""
    found = []
    share, before = (side.errors / side.answers if side.answers else 0.0 for side in (new, old))
    if new.errors > FEW_ERRORS and share > 2 * before + MORE_ERRORS:
        found.append(f"{share:.1%} of its answers are errors, {before:.1%} of the others'")
    promised = {metric for metric, _, _ in canary.targets}
    if not (new.enough and old.enough):
        return tuple(found)
    for metric, statistic, target_s in canary.targets:
        ours, theirs = (side.figures.get(f"{metric}.{statistic}") for side in (new, old))
        if ours and theirs and ours.low > target_s >= theirs.value:
            promise = f"{target_s:g} s are promised"
            found.append(f"{metric} {statistic} is {_seconds(ours)}, {_seconds(theirs)} elsewhere; {promise}")
    for metric, statistic in UNPROMISED:
        ours, theirs = (side.figures.get(f"{metric}.{statistic}") for side in (new, old))
        if metric not in promised and ours and theirs and ours.low > theirs.high * (1 + canary.slower):
            found.append(f"{metric} {statistic} is {_seconds(ours)}, {_seconds(theirs)} elsewhere")
    return tuple(found)


def _seconds(figure: Measured) -> str:
    return f"{figure.value:.3g} s"
