"""Requests are sent when each process says that they come: tested on the times they were sent, not on the plan."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest
import uvloop
from numpy.typing import NDArray
from scipy import stats

from enova.adapters.injector.body import asking
from enova.adapters.injector.sender import Sender
from enova.adapters.traces import read_recording
from enova.core.inject.job import Job
from tests.adapters.injector.loads import job, load

pytestmark = pytest.mark.slow

SERVER = Path(__file__).parents[3] / "benchmarks" / "canned_server.py"
RATE, SECONDS = 40.0, 12.0
UNLIKELY = 0.001
"""The seeds are fixed, so that what passes once passes always, but for how late the machine is."""
APART_S = 0.010
"""Gaps that are longer say nothing of how late the machine is."""

Floats = NDArray[np.float64]
STAGES = [{"duration": "4s", "rate": "10/s"}, {"duration": "8s", "rate": "20/s", "to_rate": "80/s"}]
ARRIVALS: dict[str, dict[str, Any]] = {
    "constant": {"process": "constant", "rate": "40/s"},
    "poisson": {"process": "poisson", "rate": "40/s"},
    "steady": {"process": "gamma", "rate": "40/s", "cv": 0.5},
    "bursty": {"process": "gamma", "rate": "40/s", "cv": 3.0},
    "normal": {"process": "normal", "rate": "40/s", "std": "15/s"},
    "stages": {"process": "stages", "stages": STAGES},
    "diurnal": {"process": "diurnal", "low": "10/s", "high": "70/s", "period": "6s", "peak_at": "2s"},
    "trace": {"process": "trace", "file": "trace.csv", "speed": 2.0},
}  # fmt: skip


@pytest.fixture(scope="module")
def sent_s(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Floats]:
    """Send a load of each process, all at the same time, and return when requests were sent."""
    trace = tmp_path_factory.mktemp("trace") / "trace.csv"
    times = np.cumsum(np.random.default_rng(8).exponential(0.05, 400))
    trace.write_text("timestamp\n" + "\n".join(f"{time:.6f}" for time in times.tolist()) + "\n")
    with subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            jobs = {name: _job(url, arrival, trace) for name, arrival in ARRIVALS.items()}
            return uvloop.run(_sent(jobs))
        finally:
            server.terminate()


def _job(url: str, arrival: dict[str, Any], trace: Path) -> Job:
    played = arrival["process"] == "trace"
    return job(url, load(SECONDS, arrival, {"trace.csv": read_recording(str(trace))} if played else None, seed=4))


async def _sent(jobs: dict[str, Job]) -> dict[str, Floats]:
    senders = {name: Sender(one, asking(one.target, one.prompts)) for name, one in jobs.items()}
    began_s = monotonic() + 0.1
    for sender in senders.values():
        sender.start(began_s)
    await asyncio.gather(*(sender.done.wait() for sender in senders.values()))
    for sender in senders.values():
        assert not any(outcome.failure for outcome in sender.outcomes)
    return {name: np.sort([outcome.sent_s for outcome in sender.outcomes]) for name, sender in senders.items()}


def test_even_arrivals_are_even(sent_s: dict[str, Floats]) -> None:
    times = sent_s["constant"]

    assert len(times) == RATE * SECONDS
    assert np.median(np.abs(times - np.arange(len(times)) / RATE)) < APART_S


def test_gaps_of_random_arrivals_are_exponential(sent_s: dict[str, Floats]) -> None:
    assert stats.kstest(np.diff(sent_s["poisson"]), stats.expon(scale=1 / RATE).cdf).pvalue > UNLIKELY
    assert stats.kstest(sent_s["poisson"] / SECONDS, "uniform").pvalue > UNLIKELY


def test_gaps_of_steady_arrivals_are_gamma(sent_s: dict[str, Floats]) -> None:
    gaps = np.diff(sent_s["steady"])

    assert stats.kstest(gaps, stats.gamma(a=4, scale=1 / RATE / 4).cdf).pvalue > UNLIKELY
    # And not those of random ones, which the test can tell.
    assert stats.kstest(gaps, stats.expon(scale=1 / RATE).cdf).pvalue < UNLIKELY


def test_gaps_of_bursts_are_gamma(sent_s: dict[str, Floats]) -> None:
    wanted = stats.gamma(a=1 / 9, scale=9 / RATE)
    gaps = np.diff(sent_s["bursty"])
    long = gaps[gaps > APART_S]

    def conditional(x: Floats) -> Floats:
        found: Floats = (wanted.cdf(x) - wanted.cdf(APART_S)) / wanted.sf(APART_S)
        return found

    assert stats.kstest(long, conditional).pvalue > UNLIKELY
    assert stats.binomtest(len(long), len(gaps), wanted.sf(APART_S)).pvalue > UNLIKELY


def test_rates_that_are_drawn_anew_each_second_vary_more_than_random_arrivals(sent_s: dict[str, Floats]) -> None:
    times = sent_s["normal"]
    counts = np.bincount(times.astype(int), minlength=int(SECONDS))[: int(SECONDS)]

    assert stats.kstest(times % 1.0, "uniform").pvalue > UNLIKELY
    # Of normal rates and random arrivals the variance is 15² + 40, of random arrivals alone 40.
    assert stats.chi2(SECONDS - 1).sf((SECONDS - 1) * counts.var(ddof=1) / (15**2 + RATE)) > UNLIKELY
    assert stats.chi2(SECONDS - 1).sf((SECONDS - 1) * counts.var(ddof=1) / RATE) < 0.05


def test_ramps_have_the_rate_of_every_moment(sent_s: dict[str, Floats]) -> None:
    times = sent_s["stages"]
    on_ramp = np.maximum(times - 4, 0)
    expected = 10 * np.minimum(times, 4) + 20 * on_ramp + 60 / 8 * on_ramp**2 / 2

    assert stats.kstest(expected / (40 + 160 + 240), "uniform").pvalue > UNLIKELY
    assert stats.poisson(440).cdf(len(times)) > UNLIKELY
    assert stats.poisson(440).sf(len(times)) > UNLIKELY


def test_a_wave_has_the_rate_of_every_moment(sent_s: dict[str, Floats]) -> None:
    times = sent_s["diurnal"]
    turn = 2 * np.pi / 6

    def expected(at_s: Floats | float) -> Floats:
        found: Floats = 40 * np.asarray(at_s) + 30 / turn * (
            np.sin(turn * (np.asarray(at_s) - 2)) + np.sin(turn * 2)
        )
        return found

    assert stats.kstest(expected(times) / expected(SECONDS), "uniform").pvalue > UNLIKELY
    # And not at a steady rate, which the test can tell.
    assert stats.kstest(times / SECONDS, "uniform").pvalue < UNLIKELY


def test_a_trace_is_played_at_its_speed(sent_s: dict[str, Floats]) -> None:
    recorded = np.cumsum(np.random.default_rng(8).exponential(0.05, 400))
    wanted = (recorded - recorded[0]) / 2
    wanted = wanted[wanted < SECONDS]

    assert len(sent_s["trace"]) == len(wanted)
    assert np.median(sent_s["trace"] - wanted) < APART_S
    assert stats.ks_2samp(np.diff(sent_s["trace"]), np.diff(wanted)).pvalue > UNLIKELY
