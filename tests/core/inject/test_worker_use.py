"""How busy workers are is taken over some seconds of sending."""

from __future__ import annotations

import math

import pytest

from enova.core.inject.outcome import Batch
from enova.core.inject.worker_use import WorkerUse


def used(*looks: tuple[float, float], done_s: float = math.inf) -> float:
    use = WorkerUse()
    for at_s, cpu_s in looks:
        use.add(Batch(worker=0, at_s=at_s, cpu_s=cpu_s, sending=at_s < done_s))
    return use.highest


def test_a_busy_stretch_counts_however_long_the_rest_is() -> None:
    idle = [(float(second), 0.1 * second) for second in range(1, 101)]
    busy = [(100.0 + second, 10.0 + 0.9 * second) for second in range(1, 11)]
    more = [(110.0 + second, 19.0 + 0.1 * second) for second in range(1, 100)]

    assert used(*idle, *busy, *more) == pytest.approx(0.9)


def test_a_moment_is_no_limit() -> None:
    assert used((5.0, 0.5), (5.5, 1.0), (10.0, 1.45), (15.0, 1.95)) < 0.3


def test_a_short_run_is_taken_as_a_whole() -> None:
    assert used((0.5, 0.4), (1.0, 0.5)) == pytest.approx(0.5)


def test_waiting_for_the_last_answers_counts_for_nothing() -> None:
    assert used((6.0, 3.0), (7.0, 3.5), (20.0, 16.4), done_s=7.0) == pytest.approx(0.5)


def test_of_nothing_nothing_is_known() -> None:
    assert math.isnan(WorkerUse().highest)
