"""A timeline keeps whole runs in the same memory, by doubling its intervals."""

from __future__ import annotations

import numpy as np
import pytest

from enova.core.simulate.timeline import MOST_INTERVALS, Timeline


def test_intervals_double_until_the_run_fits_and_nothing_gets_lost() -> None:
    timeline = Timeline(1.0)
    times = np.arange(10 * MOST_INTERVALS, dtype=float)
    for some in np.array_split(times, 7):
        timeline.served(some, some, np.full(len(some), 3.0))
    found = timeline.series()

    assert found.interval_s == 16
    assert len(found.served) == 10 * MOST_INTERVALS / 16
    assert set(found.served.tolist()) == {16}
    assert found.output_tokens.sum() == 3 * len(times)


def test_looks_are_averaged_within_an_interval_and_missing_where_nobody_looked() -> None:
    timeline = Timeline(10.0)
    for now_s, running in ((1.0, 2), (5.0, 4), (25.0, 1)):
        timeline.look(now_s, running=running, waiting=0, kv_use=0.25, replicas=1)
    found = timeline.series()

    assert found.running.tolist() == pytest.approx([3, float("nan"), 1], nan_ok=True)
    assert timeline.kv_use_mean(0.0) == 0.25
    assert np.isnan(Timeline(1.0).kv_use_mean(0.0))
