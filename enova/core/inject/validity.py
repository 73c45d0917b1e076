"""Whether a run of load was what it says it is. A load test that lies is worse than none."""

from __future__ import annotations

from collections.abc import Iterator

from enova.core.inject.measured import Measured
from enova.core.simulate.results import Metric

ACHIEVED = 0.99
"""Of the rate that was asked for, at least so much must have been sent."""
LATE_S = 0.010
LATE_SHARE = 0.1
"""Where the 99th percentile of the lag is more than LATE_S and than such a share of the median TTFT, latencies
from the schedule are the client's as much as the server's."""
BUSY, FULL = 0.9, 0.97
"""Shares of a core: a worker that uses BUSY of it and is late, or FULL of it, was the limit."""
WRONG_LENGTH = 0.02
"""Share by which lengths may be off before it is worth a word."""
FEW = 20
"""Answers, below which figures are anecdotes."""


def problems_of(measured: Measured) -> tuple[str, ...]:
    """Return in words why a run is not valid; nothing: it is."""
    return tuple(_problems(measured))


def notes_of(measured: Measured) -> tuple[str, ...]:
    """Return what a reader of the figures should know."""
    return tuple(_notes(measured))


def _problems(measured: Measured) -> Iterator[str]:
    results = measured.from_schedule
    if not results.served:
        yield "no request was answered" + (" after the warm-up" if results.warmup_s else "")
    if measured.closed:
        # Nothing was asked for but that users wait for each other.
        return
    # In a run of a moment the lag of the very last request is a large share of the time, and no lack of rate.
    punctual = measured.sent >= measured.due and measured.lag.highest_s <= LATE_S
    if measured.achieved_share < ACHIEVED and not punctual:
        yield (
            f"{measured.achieved_per_s:.4g} requests/s were sent of {measured.asked_per_s:.4g} asked for "
            f"({measured.achieved_share:.1%}): the client did not keep up"
        )
    late = measured.lag.p99_s > LATE_S
    if measured.cpu_share >= FULL or (late and measured.cpu_share >= BUSY):
        yield f"a worker used {measured.cpu_share:.0%} of its core: the client's CPU was the limit (--workers)"
    elif late and measured.lag.p99_s > LATE_SHARE * results.of(Metric.TTFT, "p50").value:
        yield (
            f"1 % of the requests were sent {1e3 * measured.lag.p99_s:.3g} ms late or more: "
            "latencies are the client's as much as the server's"
        )


def _notes(measured: Measured) -> Iterator[str]:
    if measured.closed:
        yield "closed loop: slow answers hold requests back, so the rate is what the server made of it"
    if measured.emulated:
        yield "EMULATED: no model ran"
    if measured.stopped:
        yield "ended by hand before its time" + (
            "" if measured.from_schedule.warmup_s else ": all of it is counted"
        )
    if 0 < measured.from_schedule.served < FEW:
        yield f"only {measured.from_schedule.served} requests were answered: figures are anecdotes"
    for name, (asked, counted) in (("prompt", measured.prompt_tokens), ("output", measured.output_tokens)):
        if asked and counted and abs(counted / asked - 1) > WRONG_LENGTH:
            yield f"the server counted {counted:,} {name} tokens where {asked:,} were asked for"
