"""The search for the highest rate at which a real service keeps its promises: which rate to try next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from enova.core.workload.report import InjectionReport

MOST_HALVINGS = 6
"""Below the lowest rate, before it is given up on."""


class Tried(NamedTuple):
    """A rate that was sent for a while."""

    rate: float
    report: InjectionReport

    @property
    def kept(self) -> bool:
        """Return whether it was really sent, answered, and within every promise."""
        found = self.report.found
        answered = not found.errors or any(one.metric == "availability" for one in self.report.slo)
        return self.report.valid and self.report.keeps and answered


def next_rate(tried: Sequence[Tried], *, low: float, high: float | None, tolerance: float) -> float | None:
    """Return the rate to try next; None: it is known to within `tolerance`, or nothing is kept.

    From `low` it doubles until something is not kept, or until `high`; then it bisects on a log scale. Where `low`
    is too much already, it halves.
    """
    if not tried:
        return low
    kept = max((one.rate for one in tried if one.kept), default=None)
    # What was kept once at a higher rate was noise where a lower one was not: the higher one counts.
    failed = min((one.rate for one in tried if not one.kept and (kept is None or one.rate > kept)), default=None)
    if kept is None:
        lowest = min(one.rate for one in tried)
        return None if lowest <= low / 2**MOST_HALVINGS else lowest / 2
    if failed is None:
        if high is not None and kept >= high:
            return None
        return min(2 * kept, high or math.inf)
    return None if failed / kept <= 1 + tolerance else math.sqrt(failed * kept)


def highest_of(tried: Sequence[Tried]) -> float | None:
    """Return the highest rate that was kept."""
    return max((one.rate for one in tried if one.kept), default=None)


def limits_of(tried: Sequence[Tried]) -> tuple[str, ...]:
    """Return in words what was not kept at the next higher rate; nothing: none that was tried broke anything."""
    highest = highest_of(tried) or 0.0
    above = sorted((one for one in tried if one.rate > highest), key=lambda one: one.rate)
    if not above:
        return ()
    report = above[0].report
    broken = [" ".join(filter(None, (one.metric, one.statistic))) for one in report.slo if not one.kept]
    errors = [f"{count} {kind}" for kind, count in report.found.errors.items()]
    return (*report.problems, *broken, *errors)
