"""Any open load can be had at another rate, with the same pattern."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from enova.core.spec.injection import Injection
from enova.core.workload.load import Load, load_of
from enova.core.workload.rates import at_rate, rate_of, thinned
from enova.core.workload.recording import Recording
from enova.errors import UsageError

FIXED = {"distribution": "fixed", "tokens": 10}
TRACE = Recording(at_s=np.arange(101) / 2)


def load(**arrival: Any) -> Load:
    injection = Injection.model_validate({"arrival": arrival, "prompt_tokens": FIXED, "output_tokens": FIXED})
    return load_of(injection, recordings={"t.csv": TRACE})


@pytest.mark.parametrize(
    "arrival",
    [
        {"process": "constant", "rate": "2/s"},
        {"process": "poisson", "rate": "2/s"},
        {"process": "gamma", "rate": "2/s", "cv": 2},
        {"process": "normal", "rate": "2/s", "std": "1/s"},
        {"process": "diurnal", "low": "1/s", "high": "3/s", "period": "20s", "peak_at": "1s"},
        {"process": "stages", "stages": [{"duration": "60s", "rate": "1/s", "to_rate": "3/s"}]},
        {"process": "trace", "file": "t.csv"},
    ],
    ids=lambda arrival: str(arrival["process"]),
)
def test_a_load_can_be_had_at_another_rate(arrival: dict[str, Any]) -> None:
    slow = load(**arrival)
    fast = at_rate(slow, 10.0)
    arrivals = [request.arrival_s for request in fast.requests(400)]

    assert [rate_of(slow), rate_of(fast)] == pytest.approx([2.0, 10.0])
    assert (len(arrivals) - 1) / arrivals[-1] == pytest.approx(10.0, rel=0.5)


def test_a_closed_loop_and_silence_have_no_rate_to_change() -> None:
    with pytest.raises(UsageError, match="users wait for their answers"):
        at_rate(load(process="closed_loop", users=3), 1.0)
    with pytest.raises(UsageError, match="no mean rate"):
        at_rate(load(process="poisson", rate="0/s"), 1.0)


def test_recorded_traffic_can_be_thinned_and_keeps_its_times() -> None:
    whole = load(process="trace", file="t.csv")
    few = thinned(whole, 0.5)
    times = [request.arrival_s for request in few.requests()]

    assert len(times) == pytest.approx(25, abs=12)
    assert set(times) <= {request.arrival_s for request in whole.requests()}
    assert times == [request.arrival_s for request in thinned(whole, 0.5).requests()]


@pytest.mark.parametrize("rate", [3.0, 1e-9])
def test_what_is_not_in_a_recording_cannot_be_made(rate: float) -> None:
    with pytest.raises(UsageError):
        thinned(load(process="trace", file="t.csv"), rate)


def test_only_recorded_traffic_can_be_thinned() -> None:
    with pytest.raises(UsageError):
        thinned(load(process="poisson", rate="2/s"), 1.0)
