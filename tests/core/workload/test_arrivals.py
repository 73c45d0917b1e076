"""Arrivals have the rates and the burstiness the spec says, and never go back in time."""

from __future__ import annotations

from itertools import chain, takewhile
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from enova.core.spec.injection import Arrival
from enova.core.workload.arrivals import mean_rate, times_of
from enova.core.workload.recording import Recording

ARRIVAL: TypeAdapter[Arrival] = TypeAdapter(Arrival)


def until(end_s: float, arrival: dict[str, Any], seed: int = 5) -> NDArray[np.float64]:
    """Return all arrivals before a moment."""
    blocks = times_of(ARRIVAL.validate_python(arrival), np.random.default_rng(seed))
    taken = list(takewhile(lambda block: not len(block) or block[0] < end_s, blocks))
    times = np.concatenate([*taken, np.empty(0)])
    before: NDArray[np.float64] = times[times < end_s]
    return before


@pytest.mark.parametrize(
    ("arrival", "rate", "cv"),
    [
        ({"process": "constant", "rate": "20/s"}, 20, 0),
        ({"process": "poisson", "rate": "20/s"}, 20, 1),
        ({"process": "gamma", "rate": "20/s", "cv": 2.5}, 20, 2.5),
        ({"process": "gamma", "rate": "20/s", "cv": 0.3}, 20, 0.3),
        ({"process": "normal", "rate": "20/s", "std": "0/s"}, 20, 1),
        ({"process": "diurnal", "low": "20/s", "high": "20/s"}, 20, 1),
        ({"process": "stages", "stages": [{"duration": "3h", "rate": "20/s"}]}, 20, 1),
    ],
    ids=lambda value: value["process"] if isinstance(value, dict) else None,
)
def test_gaps_have_the_mean_and_the_variation_of_their_process(
    arrival: dict[str, Any], rate: float, cv: float
) -> None:
    times = until(10_000, arrival)
    gaps = np.diff(times)

    assert (gaps >= 0).all()
    assert len(times) / 10_000 == pytest.approx(rate, rel=0.02)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.02, abs=1e-6)


def test_poisson_gaps_are_exponential() -> None:
    """The largest distance between the distributions, below the critical value for 1 % (Kolmogorov)."""
    gaps = np.sort(np.diff(until(5000, {"process": "poisson", "rate": "20/s"})))
    expected = 1 - np.exp(-20 * gaps)
    distance = np.abs(expected - np.arange(1, len(gaps) + 1) / len(gaps)).max()

    assert distance < 1.63 / np.sqrt(len(gaps))


def test_constant_arrivals_begin_at_once_and_do_not_drift() -> None:
    times = until(100_000, {"process": "constant", "rate": "10/s"})

    assert len(times) == 1_000_000
    assert (times[0], times[-1]) == (0.0, 99999.9)


def test_a_normal_rate_varies_from_second_to_second_as_told() -> None:
    times = until(20_000, {"process": "normal", "rate": "50/s", "std": "10/s"})
    counts = np.bincount(times.astype(int))

    assert counts.mean() == pytest.approx(50, rel=0.01)
    # The rate's own variance, and that of a Poisson count at this rate.
    assert counts.var() == pytest.approx(10**2 + 50, rel=0.05)


def test_a_rate_is_cut_at_zero() -> None:
    times = until(5000, {"process": "normal", "rate": "1/s", "std": "50/s"})

    # A normal around nearly 0, cut: its mean is std / sqrt(2 pi), and a bit for what is not 0.
    assert len(times) / 5000 == pytest.approx(50 / np.sqrt(2 * np.pi) + 0.5, rel=0.05)


def test_stages_follow_steps_and_ramps_and_then_end() -> None:
    stages = [
        {"duration": "100s", "rate": "10/s"},
        {"duration": "200s", "rate": "10/s", "to_rate": "90/s"},
        {"duration": "50s", "rate": "0/s"},
        {"duration": "100s", "rate": "40/s", "to_rate": "0/s"},
    ]
    arrival = {"process": "stages", "stages": stages}
    times = until(1e9, arrival)
    counts, _ = np.histogram(times, [0, 100, 200, 300, 350, 400, 450, 1e9])

    expected = [1000, 3000, 7000, 0, 1500, 500, 0]
    assert counts.tolist() == pytest.approx(expected, abs=4 * np.sqrt(7000))
    assert (counts[3], counts[6]) == (0, 0)
    assert mean_rate(ARRIVAL.validate_python(arrival)) == pytest.approx(13_000 / 450)


def test_a_wave_is_highest_at_its_peak_and_lowest_half_a_period_away() -> None:
    wave = {"process": "diurnal", "low": "5/s", "high": "45/s", "period": "1h", "peak_at": "10m"}
    times = until(36_000, wave)
    by_minute = np.bincount((times % 3600 / 60).astype(int)) / 10 / 60

    assert by_minute[9:11].mean() == pytest.approx(45, rel=0.05)
    assert by_minute[39:41].mean() == pytest.approx(5, rel=0.1)
    assert by_minute.mean() == pytest.approx(25, rel=0.02)


def test_a_trace_is_played_at_its_speed_and_ends() -> None:
    recording = Recording(at_s=np.array([0.0, 1.0, 4.0, 10.0]))
    arrival = ARRIVAL.validate_python({"process": "trace", "file": "t.csv", "speed": 2.0})
    times = list(chain.from_iterable(times_of(arrival, np.random.default_rng(0), recording)))

    assert times == [0.0, 0.5, 2.0, 5.0]
    assert mean_rate(arrival, recording) == pytest.approx(0.6)


@pytest.mark.parametrize(
    "arrival",
    [
        {"process": "constant", "rate": "0/s"},
        {"process": "poisson", "rate": "0/s"},
        {"process": "normal", "rate": "0/s", "std": "0/s"},
        {"process": "diurnal", "low": "0/s", "high": "0/s"},
        {"process": "stages", "stages": [{"duration": "1m", "rate": "0/s"}]},
    ],
    ids=lambda arrival: str(arrival["process"]),
)
def test_a_rate_of_zero_brings_nothing_and_comes_to_an_end(arrival: dict[str, Any]) -> None:
    assert sum(len(block) for block in times_of(ARRIVAL.validate_python(arrival), np.random.default_rng(0))) == 0


def test_in_a_closed_loop_everything_waits_from_the_start() -> None:
    arrival = ARRIVAL.validate_python({"process": "closed_loop", "users": 3})

    assert set(next(times_of(arrival, np.random.default_rng(0))).tolist()) == {0.0}
    assert mean_rate(arrival) is None
