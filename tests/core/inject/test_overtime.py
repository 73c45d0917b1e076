"""A run over time is kept in so many intervals and no more, and loses nothing when they get longer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from enova.core.inject.outcome import Failure
from enova.core.inject.overtime import MOST_INTERVALS, Overtime, quantile_of
from enova.core.workload.request import Request
from tests.core.inject.runs import answered, failed, load


def filled(seconds: int) -> Overtime:
    overtime = Overtime()
    for request in load(rate=2.0, duration=f"{seconds}s").requests():
        overtime.add(failed(request) if request.number % 10 == 9 else answered(request))
    return overtime


def test_requests_are_counted_where_they_were_due_and_answered() -> None:
    overtime = Overtime()
    overtime.add(answered(Request(0, 0.9, 10, 2), lag_s=0.2, ttft_s=1.0))
    overtime.add(failed(Request(1, 0.95, 10, 2), Failure.NOT_SENT))

    counts = [(one.due, one.sent, one.answered, one.failed, one.output_tokens) for one in overtime.intervals]
    assert counts == [(2, 0, 0, 1, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 2)]
    assert quantile_of(overtime.intervals[0].ttft, 0.5) == pytest.approx(1.2, rel=0.02)


def test_intervals_double_before_there_are_too_many() -> None:
    assert (filled(200).interval_s, len(filled(200).intervals)) == (1.0, 200)
    long = filled(1000)
    assert (long.interval_s, len(long.intervals)) == (8.0, 125)
    assert len(long.intervals) <= MOST_INTERVALS


@pytest.mark.parametrize("seconds", [100, 241, 480, 1000])
def test_nothing_is_lost_when_they_do(seconds: int) -> None:
    intervals = filled(seconds).intervals

    assert sum(one.due for one in intervals) == 2 * seconds
    assert sum(one.sent for one in intervals) == 2 * seconds
    assert sum(one.failed for one in intervals) == 2 * seconds // 10
    assert sum(one.answered for one in intervals) == 2 * seconds - 2 * seconds // 10
    assert sum(one.e2e.total() for one in intervals) == sum(one.answered for one in intervals)


def test_quantiles_are_known_to_two_per_cent() -> None:
    rng = np.random.default_rng(0)
    latencies = rng.lognormal(-1, 1, 5000)
    overtime = Overtime()
    for number, latency in enumerate(latencies.tolist()):
        overtime.add(answered(Request(number, 0.0, 10, 1), ttft_s=latency))
    counts = sum((one.ttft for one in overtime.intervals), Counter[int]())

    for share in (0.5, 0.95, 0.99):
        assert quantile_of(counts, share) == pytest.approx(np.quantile(latencies, share), rel=0.025)
