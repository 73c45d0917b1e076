"""A timeline keeps whole runs in the same memory, by doubling its intervals."""

from __future__ import annotations

import numpy as np
import pytest

from enova.core.simulate.statistics import Floats
from enova.core.simulate.timeline import MOST_INTERVALS, Timeline


def test_intervals_double_until_the_run_fits_and_nothing_gets_lost() -> None:
    timeline = Timeline(1.0)
    times = np.arange(10 * MOST_INTERVALS, dtype=float)
    for some in np.array_split(times, 7):
        threes = np.full(len(some), 3.0)
        timeline.served(some, some, some, threes, threes)
    found = timeline.series()

    assert found.interval_s == 16
    assert len(found.served) == 10 * MOST_INTERVALS / 16
    assert set(found.served.tolist()) == {16}
    assert found.output_tokens.sum() == 3 * len(times)


@pytest.mark.parametrize("interval_s", [0.5, 1e-3])
def test_an_answer_counts_while_it_is_made(interval_s: float) -> None:
    """Answers that begin and end within one interval and beyond many, also where intervals have doubled."""
    rng = np.random.default_rng(3)
    first_s: Floats = rng.uniform(0, 60, 500)
    last_s: Floats = first_s + rng.exponential(3.0, 500) * (rng.random(500) < 0.9)
    tokens = rng.integers(1, 100, 500).astype(float)
    timeline = Timeline(interval_s)
    for some in np.array_split(np.argsort(last_s), 9):
        timeline.served(first_s[some], first_s[some], last_s[some], tokens[some], tokens[some])
    found = timeline.series()

    edges = np.arange(len(found.output_tokens) + 1) * found.interval_s
    share = np.array([np.clip((edge - first_s) / np.maximum(last_s - first_s, 1e-12), 0, 1) for edge in edges])
    expected = np.diff(share @ tokens)
    assert found.output_tokens.sum() == pytest.approx(tokens.sum())
    assert found.output_tokens == pytest.approx(expected, abs=1e-6 * tokens.sum())


def test_a_rate_is_what_was_made_in_a_window() -> None:
    """Requests of 10 s, of 50 and 100 tokens, begin once a second: always 10 at once."""
    begin: Floats = np.arange(100, dtype=np.float64)
    timeline = Timeline(0.5)
    timeline.served(begin, begin, begin + 10.0, np.full(100, 50.0), np.full(100, 100.0))
    found = timeline.rates(20.0, 90.0)

    assert found is not None
    assert found.tolist() == pytest.approx([1.0, 50.0, 100.0])
    assert timeline.rates(20.0, 25.0) is None


def test_looks_are_averaged_within_an_interval_and_missing_where_nobody_looked() -> None:
    timeline = Timeline(10.0)
    for now_s, running in ((1.0, 2), (5.0, 4), (25.0, 1)):
        timeline.look(now_s, running=running, waiting=0, kv_use=0.25, replicas=1)
    found = timeline.series()

    assert found.running.tolist() == pytest.approx([3, float("nan"), 1], nan_ok=True)
    assert timeline.kv_use_mean(0.0) == 0.25
    assert np.isnan(Timeline(1.0).kv_use_mean(0.0))
