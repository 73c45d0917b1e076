"""From replicas and a load to results, with step times that can be computed by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_card
from enova.core.engine.defaults import engine_setup
from enova.core.engine.step_time import Origin
from enova.core.simulate.changes import Fail, Retries, Scale, Ticks
from enova.core.simulate.forecast import Conditions, forecast, run_of, settled
from enova.core.simulate.limits import Limits
from enova.core.simulate.promises import Promise
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.results import Metric, Results
from enova.core.spec.injection import Injection
from enova.core.workload.load import Load, load_of
from enova.errors import UsageError
from enova.facts.reading import known_models
from tests.core.simulate.step_times import Affine

STEP_S = 0.02


def replica(**changed: Any) -> ReplicaSetup:
    """Return one that takes 20 ms a step, and a bit for every sequence."""
    limits = Limits(max_num_seqs=16, max_num_batched_tokens=2048, kv_blocks=2000)
    defaults: dict[str, Any] = {"limits": limits, "step_time": Affine(base_s=STEP_S, per_decode_s=0.0005)}
    return ReplicaSetup(**(defaults | changed))


def load(seed: int = 1, **keys: Any) -> Load:
    defaults = {
        "arrival": {"process": "poisson", "rate": "4/s"},
        "prompt_tokens": {"distribution": "fixed", "tokens": 100},
        "output_tokens": {"distribution": "uniform", "min": 20, "max": 60},
    }
    return load_of(Injection.model_validate(defaults | keys), seed=seed)


def test_a_lone_request_takes_its_steps() -> None:
    rare = {"process": "constant", "rate": "1/min"}
    single = load(arrival=rare, output_tokens={"distribution": "fixed", "tokens": 11})
    found = run_of([replica()], single, Conditions(requests=10))

    assert found.of("ttft", "p99").value == pytest.approx(STEP_S, rel=1e-6)
    assert found.of("tpot", "mean").value == pytest.approx(STEP_S + 0.0005, rel=1e-6)
    assert found.of("itl", "p50").value == pytest.approx(STEP_S + 0.0005, rel=1e-6)
    assert found.of("queue", "p99").value == 0.0
    assert (found.served, found.latencies[Metric.ITL].count, found.origin) == (10, 100, Origin.ROOFLINE)


def test_the_same_load_gives_the_same_results_and_another_seed_others() -> None:
    def figures(found: Results) -> list[float]:
        return [found.of(metric, "p99").value for metric in Metric] + [found.utilisation, found.kv_use_mean]

    first, again, other = (run_of([replica()], load(seed), Conditions(requests=500)) for seed in (1, 1, 2))

    assert figures(first) == figures(again)
    assert figures(first) != figures(other)


def test_leaping_and_stepping_come_to_the_same() -> None:
    leapt, stepped = (
        run_of([replica()], load(), Conditions(requests=300, leap=leap, keep_records=True))
        for leap in (True, False)
    )

    assert leapt.records is not None
    assert stepped.records is not None
    assert leapt.records.finished_s.tolist() == pytest.approx(stepped.records.finished_s.tolist())
    assert leapt.of("itl", "p99").value == pytest.approx(stepped.of("itl", "p99").value, rel=0.005)
    assert leapt.latencies[Metric.ITL].count == stepped.latencies[Metric.ITL].count


def test_more_replicas_do_better_and_are_less_busy() -> None:
    one, three = (run_of([replica()] * n, load(arrival=POISSON_FAST), Conditions(requests=1500)) for n in (1, 3))

    assert three.of("ttft", "p95").value < one.of("ttft", "p95").value / 2
    assert three.of("tpot", "mean").value < one.of("tpot", "mean").value
    assert three.utilisation < one.utilisation


STAGES = {"process": "stages", "stages": [{"duration": "9s", "rate": "1/s"}]}
POISSON_FAST = {"process": "poisson", "rate": "20/s"}


def test_what_prompts_share_is_found_in_the_cache() -> None:
    shared = load(prompt_tokens={"distribution": "fixed", "tokens": 100}, shared_prefix={"tokens": 80, "count": 2})
    found, apart = (run_of([replica()], some, Conditions(requests=300)) for some in (shared, load()))

    # 5 blocks of 16 tokens in each prompt but the first of each kind.
    assert found.cached_share == pytest.approx(0.8 * 298 / 300, abs=0.01)
    assert apart.cached_share == 0.0


def test_a_closed_loop_has_as_many_in_flight_as_users() -> None:
    closed = load(arrival={"process": "closed_loop", "users": 8})
    found = run_of([replica()], closed, Conditions(requests=400))

    # Little's law: in the system = throughput x time in it.
    assert found.requests_per_s.value * found.of("e2e", "mean").value == pytest.approx(8, rel=0.05)
    assert found.served == 400


def test_a_closed_loop_with_a_duration_answers_what_was_sent_and_sends_no_more() -> None:
    closed = load(arrival={"process": "closed_loop", "users": 8, "think_time": "1s"}, duration="60s")
    found = run_of([replica()], closed, Conditions(keep_records=True))

    assert found.records is not None
    assert found.records.arrival_s.max() <= 60
    assert found.records.finished_s.max() > 60
    # Each user spends 1 s thinking and some 0.9 s waiting.
    assert found.served == pytest.approx(8 * 60 / 1.9, rel=0.1)


def test_a_load_without_an_end_is_refused() -> None:
    with pytest.raises(UsageError, match="never ends"):
        run_of([replica()], load())


@pytest.mark.parametrize(
    "arrival",
    [
        {"process": "stages", "stages": [{"duration": "30s", "rate": "2/s", "to_rate": "6/s"}]},
        {"process": "gamma", "rate": "4/s", "cv": 3},
    ],
    ids=lambda arrival: str(arrival["process"]),
)
def test_any_arrivals_can_be_run(arrival: dict[str, Any]) -> None:
    found = run_of([replica()], load(arrival=arrival, duration="30s"))

    assert found.served == pytest.approx(120, rel=0.5)


def test_the_series_shows_the_fleet_over_time() -> None:
    conditions = Conditions(requests=1200, changes=(Scale(60.0, 2),))
    found = run_of([replica(start_up_s=30.0)], load(), conditions)

    assert found.series is not None
    present = {now_s: found.series.replicas[int(now_s / found.series.interval_s)] for now_s in (50, 80, 100)}
    assert present == {50: 1, 80: 1, 100: 2}
    assert found.series.served.sum() == 1200
    assert np.nanmax(found.series.kv_use) <= found.kv_use_highest <= 1


def test_a_scaler_is_asked_and_obeyed() -> None:
    asked: list[float] = []

    def two(now_s: float, _views: object) -> int:
        asked.append(now_s)
        return 2

    found = run_of([replica()], load(), Conditions(requests=200, scaler=Ticks(5.0, two)))

    assert asked[:2] == [5.0, 10.0]
    assert found.series is not None
    assert np.nanmax(found.series.replicas) == 2


def test_a_failure_loses_requests_and_goodput() -> None:
    promises = (Promise(Metric.E2E, "p99", 100.0),)
    conditions = Conditions(requests=400, changes=(Fail(10.0, 0),), promises=promises)
    found = run_of([replica(start_up_s=60.0)] * 2, load(arrival=POISSON_FAST), conditions)

    assert found.lost > 0
    assert found.goodput is not None
    assert found.goodput.share.value == pytest.approx(found.served / 400)
    assert found.served + found.lost == 400


def test_the_routers_retries_are_those_of_the_conditions() -> None:
    conditions = Conditions(requests=400, changes=(Fail(10.0, 0),))
    lost = [
        run_of(
            [replica(start_up_s=60.0)] * 2,
            load(arrival=POISSON_FAST),
            replace(conditions, retries=Retries(attempts=attempts, streamed=False)),
        ).lost
        for attempts in (1, 3)
    ]

    assert lost[0] > lost[1] == 0


def test_a_fleet_is_known_as_well_as_its_least_known_replica() -> None:
    known = replica(step_time=Affine(base_s=STEP_S, origin=Origin.CALIBRATED))
    found = run_of([known, replica()], load(), Conditions(requests=20))

    assert found.origin is Origin.ROOFLINE
    assert run_of([known], load(), Conditions(requests=20)).origin is Origin.CALIBRATED


@pytest.mark.parametrize(
    ("keys", "given", "requests", "warmup_s"),
    [
        ({}, Conditions(), 2000, 100.0),
        ({"arrival": {"process": "poisson", "rate": "50/s"}}, Conditions(), 9000, 36.0),
        ({}, Conditions(requests=100), 100, 5.0),
        ({"duration": "60s"}, Conditions(), None, 12.0),
        ({"duration": "60s"}, Conditions(requests=40), 40, 2.0),
        ({"arrival": {"process": "closed_loop", "users": 200}}, Conditions(), 4000, 0.0),
        (
            {"arrival": {"process": "stages", "stages": [{"duration": "9s", "rate": "1/s"}]}},
            Conditions(),
            None,
            0.0,
        ),
        ({"arrival": {"process": "diurnal", "low": "1/s", "high": "3/s"}}, Conditions(), 2000, 0.0),
    ],
)
def test_a_settled_load_has_an_end_and_a_warm_up(
    keys: dict[str, Any], given: Conditions, requests: int | None, warmup_s: float
) -> None:
    found = settled(load(**keys), given)

    assert found.requests == requests
    assert found.warmup_s == pytest.approx(warmup_s)


def test_engines_on_known_gpus_are_forecast_from_what_was_measured_of_them() -> None:
    model = known_models().card("meta-llama/Llama-3.1-8B-Instruct")
    slow, fast = (engine_setup(model, gpu_card(name), max_model_len=4096) for name in ("l40s", "h100-sxm"))
    alone, both = (
        forecast(setups, measured_curves(), load(), Conditions(requests=60)) for setups in ([slow], [slow, fast])
    )

    assert alone.of("tpot", "mean").value > both.of("tpot", "mean").value > 0.001
    assert both.served == 60


def test_an_engine_without_room_for_a_cache_refuses_everything() -> None:
    limits = Limits(max_num_seqs=16, max_num_batched_tokens=2048, kv_blocks=0)
    found = run_of([replica(limits=limits)], load(), Conditions(requests=20))

    assert (found.served, found.rejected) == (0, 20)
    assert list(found.reasons) == ["larger than the whole KV cache, 0 blocks"]
