"""Two runs beside each other: figure by figure, and which differences are more than the noise of both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from enova.core.workload.report import REPORTED, Figures, InjectionReport, Seen

SHOWN = ("mean", "p50", "p90", "p95", "p99")
SCALARS = ("requests_per_s", "output_tokens_per_s", "goodput")
HIGHER_IS_BETTER = frozenset(SCALARS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure of both runs; latencies in seconds."""

    name: str
    """`ttft.p95`, or `goodput`."""
    first: float
    second: float
    differs: bool | None
    """Whether they differ by more than noise, with probability 0.9; None: how noisy they are is not known."""

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
    ours, theirs = first.found.from_schedule, second.found.from_schedule
    scheduled = ours is not None and theirs is not None
    pair = (ours, theirs) if ours is not None and theirs is not None else (first.found, second.found)
    return Comparison(rows=tuple(_rows(*pair)), from_schedule=scheduled, warnings=tuple(_warnings(first, second)))


def _rows(first: Figures, second: Figures) -> Iterator[Difference]:
    for metric in REPORTED:
        ours, theirs = getattr(first, metric), getattr(second, metric)
        yield from _latency(metric, ours, theirs)
    for name in SCALARS:
        a, b = getattr(first, name), getattr(second, name)
        if a is not None and b is not None:
            differs = _differs((a, first.ends.get(name)), (b, second.ends.get(name)))
            yield Difference(name=name, first=a, second=b, differs=differs)


def _latency(metric: str, first: Seen, second: Seen) -> Iterator[Difference]:
    for statistic in SHOWN:
        a, b = getattr(first, statistic), getattr(second, statistic)
        if a is not None and b is not None:
            differs = _differs((a, first.ends.get(statistic)), (b, second.ends.get(statistic)))
            yield Difference(name=f"{metric}.{statistic}", first=a, second=b, differs=differs)


Known = tuple[float, tuple[float, float] | None]
"""A value and the ends it lies between."""


def _differs(first: Known, second: Known) -> bool | None:
    """Return whether two values are further apart than both their noises, which are independent, allow."""
    (low_value, low_ends), (high_value, high_ends) = sorted((first, second), key=lambda known: known[0])
    if low_ends is None or high_ends is None:
        return None
    up, down = low_ends[1] - low_value, high_value - high_ends[0]
    return high_value - low_value > math.hypot(max(0.0, up), max(0.0, down))


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
