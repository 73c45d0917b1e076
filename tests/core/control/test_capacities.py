from __future__ import annotations

import numpy as np
import pytest

from enova.core.control.capacities import plant_of
from enova.core.simulate.forecast import Conditions, run_of
from enova.core.simulate.promises import promises_of
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.results import Metric
from enova.core.spec.injection import Injection, Trace
from enova.core.spec.service import Slo
from enova.core.workload.load import Load, load_of
from enova.core.workload.rates import at_rate
from enova.core.workload.recording import Recording
from tests.core.simulate.step_times import Affine
from tests.core.simulate.test_fleet import LIMITS

REPLICA = ReplicaSetup(limits=LIMITS, step_time=Affine(base_s=0.01), start_up_s=40.0)
LOAD = load_of(
    Injection.model_validate({
        "arrival": {"process": "poisson", "rate": "5/s"},
        "prompt_tokens": {"distribution": "fixed", "tokens": 100},
        "output_tokens": {"distribution": "uniform", "min": 10, "max": 60},
    })
)  # fmt: skip


def conditions(**slo: dict[str, str]) -> Conditions:
    return Conditions(promises=promises_of(Slo.model_validate(slo)), requests=600)


def test_a_plant_says_what_its_replicas_take_and_how_many_requests_that_is_at_once() -> None:
    plant = plant_of(REPLICA, LOAD, conditions(ttft={"p99": "500ms"}), counts=(1, 2))

    assert plant.feasible
    assert (plant.start_up_s, plant.target) == (40.0, 0.99)
    one, two = plant.capacity.per_s
    assert two >= 1.9 * one > 0
    at_capacity = run_of([REPLICA], at_rate(LOAD, one), conditions())
    assert plant.concurrency == pytest.approx(one * at_capacity.of(Metric.E2E, "mean").value, rel=0.2)


def test_what_cannot_be_promised_is_planned_by_what_can_be_served() -> None:
    plant = plant_of(REPLICA, LOAD, conditions(e2e={"p99": "1ms"}), counts=(1,))

    assert not plant.feasible
    assert plant.capacity.per_s[0] > 0


def test_of_recorded_traffic_only_the_lengths_count() -> None:
    rng = np.random.default_rng(1)
    recording = Recording(
        # All at once in the first second: no rate would keep a promise on these times.
        at_s=np.sort(rng.random(800)),
        prompt_tokens=np.full(800, 100),
        output_tokens=rng.integers(10, 61, 800),
    )
    injection = Injection.model_validate({"arrival": {"process": "trace", "file": "./t.csv"}})
    assert isinstance(injection.arrival, Trace)
    recorded = Load(injection, injection.arrival, 0, {injection.arrival.file: recording})
    told, played = (
        plant_of(REPLICA, load, conditions(ttft={"p99": "500ms"}), counts=(1,)) for load in (LOAD, recorded)
    )

    assert played.capacity.of(1) == pytest.approx(told.capacity.of(1), rel=0.15)
