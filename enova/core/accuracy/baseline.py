"""Whether predictions got worse than they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from enova.core.accuracy.score import AGGREGATES, Group

AGGREGATE_SLACK, PARTITION_SLACK = 0.05, 0.10
"""By so much of itself an error may grow."""
ROUNDING = 0.002
"""And by this share of the measured value, since errors near nothing double easily."""
JUDGED = ("median", "mean", "p90")

Kept = Mapping[str, Any]
"""A group as it is kept: the fields it is grouped by, and its score."""


def worsened(groups: Sequence[Group], kept: Sequence[Kept]) -> tuple[str, ...]:
    """Return a line for each error that grew more than it may, and for each group that is gone or has shrunk."""
    now = {(group.by, group.values): group.score for group in groups}
    lines = []
    for entry in kept:
        by = tuple(name for name in entry if name not in _SCORE)
        values = tuple(str(entry[name]) for name in by)
        about = ", ".join(values)
        score = now.get((by, values))
        if score is None:
            lines.append(f"{about}: no longer predicted")
            continue
        if score.count < entry["count"]:
            lines.append(f"{about}: {score.count} predicted, {entry['count']} before")
        slack = AGGREGATE_SLACK if by in AGGREGATES else PARTITION_SLACK
        for name in JUDGED:
            was, is_now = entry[name], getattr(score, name)
            if is_now > was * (1 + slack) + ROUNDING:
                lines.append(f"{about}: {name} error {is_now:.2%}, {was:.2%} before")
    return tuple(lines)


_SCORE = {"count", "median", "mean", "p90", "bias", "coverage"}
