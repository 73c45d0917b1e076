"""What the counters of one target came to over time, and by how much they grew over a window.

A counter that falls was started anew, and what it stands at now is what came since. Counters of a group are
started anew together, though some of them may be higher again by then.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from enova.core.observed import Unknown

Group = str
"""What is started anew together."""
Key = tuple[Group, str | float]
"""A group, and what is counted; of a bucket, its edge."""

FINE_S = 120.0
"""So long all samples are kept, up to `MOST_FINE`."""
COARSE_S = 30.0
"""Between the older ones."""
KEPT_S = 960.0
"""A little longer than the longest window anybody asks for."""
MOST_FINE = 64
LONGEST_GAP_S = 30.0
"""Of a process that was started anew between two samples further apart, too much of what it counted is lost."""


class Sample(NamedTuple):
    """What the counters had grown by since the first sample of the target."""

    at_s: float
    totals: array[float]


class Increase(NamedTuple):
    """What came over a while."""

    seconds: float
    """How long, up to the last sample: as asked for, or as near to it as there are samples."""
    counts: Mapping[Key, float]


@dataclass(slots=True)
class Series:
    """The last quarter of an hour of one target: some 60 samples of a few hundred bytes. Clocks are monotonic."""

    _raw: dict[Key, float] | None = None
    """As the target last said."""
    _places: dict[Key, int] = field(default_factory=dict)
    _totals: array[float] = field(default_factory=lambda: array("d"))
    _fine: deque[Sample] = field(default_factory=deque)
    _coarse: deque[Sample] = field(default_factory=deque)
    _lost_s: float | None = None
    """When something was last lost."""

    @property
    def last_s(self) -> float | None:
        """Return when the last sample was taken; None: there is none."""
        return self._fine[-1].at_s if self._fine else None

    @property
    def raw(self) -> Mapping[Key, float]:
        """Return what the target last said."""
        return self._raw or {}

    def begin(self, raw: Mapping[Key, float]) -> None:
        """Go on from what the target said to an earlier Enova, at a time that nothing else is known of."""
        self._raw = dict(raw)

    def fallen(self, counters: Mapping[Key, float]) -> frozenset[Group]:
        """Return the groups of which a counter is lower than it was."""
        raw = self.raw
        return frozenset([key[0] for key, value in counters.items() if value < raw.get(key, 0.0)])

    def add(
        self, at_s: float, counters: Mapping[Key, float], *, anew: Collection[Group] = ()
    ) -> Mapping[Key, float]:
        """Take in what counters say now, and return what came since the sample before: nothing, after none.

        `anew` are groups that were started anew, see `fallen`. Any other counter that is lower counts as before.
        Counters are finite and not negative. One that was not there before began at 0 meanwhile; one that is not
        there now is as it was. A sample that is not later than the last is left out.
        """
        if self.last_s is not None and at_s <= self.last_s:
            return {}
        if anew and self.last_s is not None and at_s - self.last_s > LONGEST_GAP_S:
            self._lost_s = at_s
        raw, grown = self._raw, dict[Key, float]()
        if raw is not None:
            for key, value in counters.items():
                grown[key] = value if key[0] in anew else max(0.0, value - raw.get(key, 0.0))
        self._said(counters, anew)
        self._keep(Sample(at_s, self._totalled(counters, grown)))
        return grown

    def _said(self, counters: Mapping[Key, float], anew: Collection[Group]) -> None:
        raw = self._raw = {} if self._raw is None else self._raw
        for key, value in counters.items():
            raw[key] = value if key[0] in anew else max(value, raw.get(key, 0.0))

    def _totalled(self, counters: Mapping[Key, float], grown: Mapping[Key, float]) -> array[float]:
        totals = self._totals = array("d", self._totals)
        for key in counters:
            place = self._places.setdefault(key, len(totals))
            if place == len(totals):
                totals.append(0.0)
            totals[place] += grown.get(key, 0.0)
        return totals

    def over(self, window_s: float, *, until_s: float | None = None) -> Increase | Unknown:
        """Return what came in the time before the last sample, or before an earlier `until_s`.

        Unknown: there are no two samples to tell by, or the target was started anew unseen.
        """
        samples = [one for one in self._samples() if until_s is None or one.at_s <= until_s]
        if len(samples) < 2:
            return Unknown("it was seen only once so far")
        last = samples[-1]
        before = [one for one in samples[:-1] if one.at_s <= last.at_s - window_s]
        first = before[-1] if before else samples[0]
        if self._lost_s is not None and first.at_s < self._lost_s <= last.at_s:
            return Unknown("it was started anew while nobody could look")
        return Increase(last.at_s - first.at_s, self._between(first, last))

    def latest(self) -> Increase | Unknown:
        """Return what came between the last two samples."""
        return self.over(0.0)

    def _between(self, first: Sample, last: Sample) -> dict[Key, float]:
        begun = len(first.totals)
        return {
            key: last.totals[place] - (first.totals[place] if place < begun else 0.0)
            for key, place in self._places.items()
            if place < len(last.totals)
        }

    def _samples(self) -> Iterator[Sample]:
        yield from self._coarse
        yield from self._fine

    def _keep(self, sample: Sample) -> None:
        fine, coarse = self._fine, self._coarse
        fine.append(sample)
        while fine[0].at_s < sample.at_s - FINE_S or len(fine) > MOST_FINE:
            oldest = fine.popleft()
            if not coarse or oldest.at_s - coarse[-1].at_s >= COARSE_S:
                coarse.append(oldest)
        while coarse and coarse[0].at_s < sample.at_s - KEPT_S:
            coarse.popleft()
