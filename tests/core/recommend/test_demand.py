"""What traffic asks of a fleet, and what one replica gets of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from enova.core.recommend.demand import ASSUMPTION, Demand, demand_of, with_assumed_lengths
from enova.core.spec.injection import Injection
from enova.core.workload.load import load_of
from enova.core.workload.rates import rate_of
from enova.core.workload.recording import Recording
from tests.core.recommend.asking import traffic

STAGES = {"process": "stages", "stages": [{"duration": "1m", "rate": "2/s", "to_rate": "8/s"}]}
DIURNAL = {"process": "diurnal", "low": "1/s", "high": "9/s"}
USERS = {"process": "closed_loop", "users": 10}


def of(arrival: dict[str, Any] | None = None, **keys: Any) -> Demand:
    written = traffic(5, **keys) | ({"arrival": arrival} if arrival else {})
    return demand_of(load_of(Injection.model_validate(written)))


@pytest.mark.parametrize(
    ("arrival", "peak", "trough", "closed"),
    [(None, 5, 5, False), (STAGES, 8, 2, False), (DIURNAL, 9, 1, False), (USERS, 10, 10, True)],
    ids=["poisson", "stages", "diurnal", "closed loop"],
)
def test_the_busiest_and_the_quietest(arrival: dict[str, Any], peak: float, trough: float, closed: bool) -> None:
    found = of(arrival)

    assert (found.peak, found.trough, found.closed) == (peak, trough, closed)


@pytest.mark.parametrize("arrival", [None, STAGES, DIURNAL], ids=["poisson", "stages", "diurnal"])
def test_a_share_of_the_peak_comes_as_steadily_as_it_can(arrival: dict[str, Any]) -> None:
    found = of(arrival)

    load, rate = found.share(4, times=1.5)

    assert rate == pytest.approx(found.peak * 1.5 / 4)
    assert rate_of(load) == pytest.approx(rate)


def test_users_are_shared_whole() -> None:
    load, rate = of(USERS).share(4)

    assert (load.users and load.users.number, rate) == (3, None)


def test_a_trace_keeps_its_own_bursts_and_is_scaled() -> None:
    times = np.array([0.0, 0.1, 0.2, 9.8, 9.9, 10.0])
    lengths = np.full(6, 100)
    recording = Recording(at_s=times, prompt_tokens=lengths, output_tokens=lengths)
    injection = Injection.model_validate({"arrival": {"process": "trace", "file": "./t.csv"}})
    found = demand_of(load_of(injection, recordings={"./t.csv": recording}))

    load, rate = found.share(2)

    gaps = np.diff([request.arrival_s for request in load.requests()])
    assert rate == pytest.approx(found.peak / 2)
    assert (gaps / gaps[0]).tolist() == pytest.approx([1, 1, 96, 1, 1])


def test_lengths_are_those_of_a_sample() -> None:
    found = of(prompt_tokens={"distribution": "uniform", "min": 100, "max": 300})

    assert found.prompt_tokens == pytest.approx(200, rel=0.05)
    assert found.output_tokens == 40
    assert (found.prompt_at(0.0), found.prompt_at(1.0), found.longest) == (100, 300, 340)
    assert found.prompt_at(0.5) == pytest.approx(200, rel=0.05)


def test_what_prompts_share_is_known() -> None:
    assert of(shared_prefix={"tokens": 150, "count": 2}).shared == pytest.approx(0.75)


class TestAssumed:
    """Lengths that are left open."""

    def test_what_is_written_stays(self) -> None:
        injection = Injection.model_validate(traffic(1))

        assert with_assumed_lengths(injection) == (injection, ())

    def test_what_is_not_is_assumed_and_said(self) -> None:
        open_ended = Injection.model_validate({"arrival": {"process": "poisson", "rate": "1/s"}})

        injection, notes = with_assumed_lengths(open_ended)

        assert notes == (ASSUMPTION,)
        assert demand_of(load_of(injection)).prompt_tokens == pytest.approx(1155, rel=0.1)

    def test_each_class_keeps_what_it_says(self) -> None:
        fixed = {"distribution": "fixed", "tokens": 7}
        kinds = [{"name": "a", "weight": 1, "prompt_tokens": fixed}, {"name": "b", "weight": 1}]
        written = {"arrival": {"process": "poisson", "rate": "1/s"}, "classes": kinds}

        injection, notes = with_assumed_lengths(Injection.model_validate(written))

        assert [kind.prompt_tokens == injection.classes[0].prompt_tokens for kind in injection.classes] == [
            True,
            False,
        ]
        assert notes == (ASSUMPTION,)

    def test_traces_and_datasets_bring_their_own(self) -> None:
        trace = Injection.model_validate({"arrival": {"process": "trace", "file": "./t.csv"}})
        dataset = Injection.model_validate(
            {"arrival": {"process": "poisson", "rate": "1/s"}, "dataset": "./prompts.jsonl"}
        )

        assert [with_assumed_lengths(one)[1] for one in (trace, dataset)] == [(), ()]
