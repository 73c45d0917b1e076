"""What the metrics of a live service said over the last seconds: rounds of looks, kept as long as they matter."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import islice
from operator import add
from typing import NamedTuple

from enova.core.control.decision import finite
from enova.core.control.sight import Moment
from enova.core.ledger.histogram import Histogram
from enova.core.ledger.window import Look, Window, window_of
from enova.core.observed import Unknown
from enova.core.simulate.results import Metric

MEMORY_S = 3600.0


class Round(NamedTuple):
    """One round of looks, and what came since the one before. None: not known."""

    at_s: float
    seconds: float
    """That the counts are of: longer than the time since the last round where that one saw nothing."""
    arrived: float | None
    finished: float | None
    histograms: Mapping[str, Histogram]
    met: tuple[float, float] | None
    """Answers that met every target, and all of them."""
    moment: Moment | None


class Measured:
    """Takes in the looks at a service's gateway and replicas; answers what a sight asks."""

    def __init__(self, targets_s: Mapping[Metric, float]) -> None:
        """`targets_s`: what each single request is judged by."""
        self._targets_s = targets_s
        self._rounds: deque[Round] = deque()
        self._arrived: tuple[float, float] | None = None
        """When the gateway's counter was last read, and what it said."""
        self._looks: dict[str, Look] = {}

    def take(self, at_s: float, arrived: float | None, looks: Mapping[str, Look | Unknown], ready: int) -> None:
        """Take in a round: what the gateway has counted, and the looks at the replicas that serve, by name."""
        seconds, came = self._came(at_s, arrived)
        seen = {name: look for name, look in looks.items() if isinstance(look, Look)}
        windows = [window_of(self._looks[name], look) for name, look in seen.items() if name in self._looks]
        known = [window for window in windows if isinstance(window, Window)]
        self._looks = {**{name: look for name, look in self._looks.items() if name in looks}, **seen}
        # A replica that was not seen may have answered anything.
        whole = len(seen) == len(looks)
        histograms = _merged(known)
        self._rounds.append(
            Round(
                at_s=at_s,
                seconds=seconds,
                arrived=came,
                finished=sum(window.finished for window in known) if whole else None,
                histograms=histograms,
                met=self._met(histograms),
                moment=_moment(at_s, ready, [seen[name] for name in sorted(seen)]) if whole else None,
            )
        )
        while self._rounds[0].at_s < at_s - MEMORY_S:
            self._rounds.popleft()

    @property
    def last(self) -> Round | None:
        """Return the last round."""
        return self._rounds[-1] if self._rounds else None

    def arrived(self, over_s: float) -> float | None:
        """Return how many requests came to the gateway; None if the last round could not tell."""
        if not self._rounds or self._rounds[-1].arrived is None:
            return None
        known = [one for one in self._last(over_s) if one.arrived is not None]
        seconds = sum(one.seconds for one in known)
        return sum(one.arrived or 0.0 for one in known) * over_s / seconds if seconds else None

    def finished(self, over_s: float) -> float | None:
        """Return how many requests were answered; None if a round of these could not tell."""
        counts = [one.finished for one in self._last(over_s)]
        known = [count for count in counts if count is not None]
        return sum(known) if known and len(known) == len(counts) else None

    def met(self, over_s: float) -> tuple[float, float] | None:
        """Return how many answers met every target, and how many there were."""
        known = [one.met for one in self._last(over_s) if one.met is not None]
        return (sum(good for good, _ in known), sum(count for _, count in known)) if known else None

    def latency_s(self, metric: Metric, share: float, over_s: float) -> float | None:
        """Return the seconds that this share of the answers did not exceed."""
        found = [one.histograms[metric] for one in self._last(over_s) if metric in one.histograms]
        try:
            merged = reduce(add, found) if found else None
        except ValueError:
            return None
        return merged.quantile(share).value if merged is not None and merged.count > 0 else None

    def moments(self, over_s: float) -> Sequence[Moment]:
        """Return the looks at all replicas, oldest first."""
        return tuple(one.moment for one in self._last(over_s) if one.moment is not None)

    def _came(self, at_s: float, arrived: float | None) -> tuple[float, float | None]:
        count, before = finite(arrived), self._arrived
        if count is None:
            return 0.0, None
        self._arrived = at_s, count
        if before is None or at_s <= before[0]:
            return 0.0, None
        # A counter that fell belongs to a gateway that was started anew.
        return at_s - before[0], count - before[1] if count >= before[1] else count

    def _met(self, histograms: Mapping[str, Histogram]) -> tuple[float, float] | None:
        """Return good answers and all. Which of them missed two targets is not known: each miss counts."""
        judged = [
            (histograms[metric], target_s) for metric, target_s in self._targets_s.items() if metric in histograms
        ]
        counts = [found.count for found, _ in judged]
        if not counts or len(judged) < len(self._targets_s):
            return None
        missed = sum(found.count - found.within(target_s) for found, target_s in judged)
        return max(0.0, max(counts) - missed), max(counts)

    def _last(self, over_s: float) -> Sequence[Round]:
        if not self._rounds:
            return ()
        since_s = self._rounds[-1].at_s - over_s + _ROUNDING
        count = 0
        for one in reversed(self._rounds):
            if one.at_s <= since_s and count:
                break
            count += 1
        return tuple(islice(self._rounds, len(self._rounds) - count, None))


_ROUNDING = 1e-3


def _merged(windows: Sequence[Window]) -> dict[str, Histogram]:
    """Return each latency of all replicas together; of those whose buckets differ, nothing."""
    names = {name for window in windows for name in window.histograms}
    merged = {}
    for name in sorted(names):
        try:
            merged[name] = reduce(add, (w.histograms[name] for w in windows if name in w.histograms))
        except ValueError:
            continue
    return merged


def _moment(at_s: float, ready: int, looks: Sequence[Look]) -> Moment:
    engines = [engine for look in looks for engine in look.engines.values()]
    running = sum(finite(engine.running) or 0.0 for engine in engines)
    waiting = sum(finite(engine.waiting) or 0.0 for engine in engines)
    uses = [engine.kv_usage for engine in engines if engine.kv_usage is not None]
    return Moment(at_s, ready, running + waiting, running, waiting, sum(uses) / len(uses) if uses else 0.0)
