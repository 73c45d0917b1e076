"""Two runs beside each other: figure by figure, and which differences are more than the noise of both.

With so many figures some would differ by chance. So the noise of each is taken wide enough that of twenty pairs of
equal runs one shows any difference at all (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

from enova.core.simulate.results import LEVEL
from enova.core.workload.report import REPORTED, Figures, InjectionReport, Seen

SHOWN = ("mean", "p50", "p90", "p95", "p99")
SCALARS = ("requests_per_s", "output_tokens_per_s", "goodput")
HIGHER_IS_BETTER = frozenset(SCALARS)
FALSE_ALARM = 0.05
"""Probability that any figure of two equal runs is said to differ."""

ALIKE = 0.01
"""Percentiles are known to half a per cent each: what is closer than that is the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure of both runs; latencies in seconds."""

    name: str
    """`ttft.p95`, or `goodput`."""
    first: float
    second: float
    differs: bool | None
    """Whether they differ by more than noise; None: how noisy they are is not known."""

    @property
    def ratio(self) -> float:
        """Return second over first; NaN where the first is nothing."""
        return self.second / self.first if self.first else math.nan

    @property
    def better(self) -> bool:
        """Return whether the second is the one to prefer."""
        return (self.second > self.first) == (self.name in HIGHER_IS_BETTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All figures that both runs have, and what makes them hard to compare."""

    rows: tuple[Difference, ...]
    from_schedule: bool
    """Whether latencies are from the schedule; else from the send, since one of the runs has no others."""
    warnings: tuple[str, ...]


def compared(first: InjectionReport, second: InjectionReport) -> Comparison:
    """Compare two runs."""
    a, b = first.found.from_schedule, second.found.from_schedule
    scheduled = a is not None and b is not None
    pair = (a, b) if a is not None and b is not None else (first.found, second.found)
    ours, theirs = (dict(_known(figures)) for figures in pair)
    shared = [name for name in ours if name in theirs]
    normal = NormalDist()
    wider = normal.inv_cdf(1 - FALSE_ALARM / 2 / max(1, len(shared))) / normal.inv_cdf((1 + LEVEL) / 2)
    rows = [
        Difference(
            name=name,
            first=ours[name][0],
            second=theirs[name][0],
            differs=_differs(ours[name], theirs[name], wider),
        )
        for name in shared
    ]
    return Comparison(rows=tuple(rows), from_schedule=scheduled, warnings=tuple(_warnings(first, second)))


Known = tuple[float, tuple[float, float] | None]
"""A value and the ends it lies between."""


def _known(figures: Figures) -> Iterator[tuple[str, Known]]:
    for metric in REPORTED:
        seen: Seen = getattr(figures, metric)
        for statistic in SHOWN:
            if (value := getattr(seen, statistic)) is not None:
                yield f"{metric}.{statistic}", (value, seen.ends.get(statistic))
    for name in SCALARS:
        if (value := getattr(figures, name)) is not None:
            yield name, (value, figures.ends.get(name))


def _differs(first: Known, second: Known, wider: float) -> bool | None:
    """Return whether two values are further apart than both their noises, which are independent, allow."""
    (low_value, low_ends), (high_value, high_ends) = sorted((first, second), key=lambda known: known[0])
    if low_ends is None or high_ends is None:
        return None
    up, down = low_ends[1] - low_value, high_value - high_ends[0]
    noise = wider * math.hypot(max(0.0, up), max(0.0, down))
    return high_value - low_value > max(noise, ALIKE * high_value)


def _warnings(first: InjectionReport, second: InjectionReport) -> Iterator[str]:
    for name, report in (("A", first), ("B", second)):
        for problem in report.problems:
            yield f"{name} is invalid: {problem}"
    ours, theirs = (one.sent.injection.model_copy(update={"seed": None}) for one in (first, second))
    if ours != theirs:
        yield "the traffic is not the same"
    elif first.sent.seed == second.sent.seed:
        yield "both sent the very same requests: what noise of their own they share is not told apart"
    if first.asked and second.asked:
        if first.asked.emulated != second.asked.emulated:
            yield "one of them is emulated: no model ran"
        if (first.asked.api, first.asked.stream) != (second.asked.api, second.asked.stream):
            yield "they were asked in different ways (API, streaming)"
    if first.tested and second.tested and first.tested != second.tested:
        yield f"the engines are not the same: {_engine(first)} and {_engine(second)}"
    closed = [bool(one.sent.delivery and one.sent.delivery.closed_loop) for one in (first, second)]
    if any(closed):
        yield "a closed loop sends what the server lets it: rates differ because latencies do"


def _engine(report: InjectionReport) -> str:
    tested = report.tested
    return "" if tested is None else f"{tested.model} on {tested.replicas} x {tested.gpu}, vLLM {tested.vllm}"
