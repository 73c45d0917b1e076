"""A forecast as text and as JSON: every figure with its band, in units people would use."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from enova.adapters.facts import gpu_card
from enova.core.engine.defaults import engine_setup
from enova.core.engine.model_card import ModelCard
from enova.core.simulate.capacity import Capacity
from enova.core.simulate.forecast import Conditions, run_of
from enova.core.simulate.limits import Limits
from enova.core.simulate.promises import Promise
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.results import Band, Figure, Metric
from enova.core.spec.injection import Injection
from enova.core.workload.load import load_of
from enova.facts.reading import known_models
from enova.render.forecast import Forecast, engine_words, forecasts_text, seconds
from enova.render.forecast_json import forecasts_as_json
from tests.core.simulate.step_times import Affine

PROMISE = Promise(Metric.TTFT, "p95", 0.05)
FIXED = {"distribution": "fixed", "tokens": 11}
ONE_AT_A_TIME = Limits(max_num_seqs=1, max_num_batched_tokens=100, kv_blocks=10, max_model_len=100)


def forecast(**changed: Any) -> Forecast:
    """Return 40 requests, one every 10 s, each of which takes 11 steps of 20 ms."""
    arrival = {"process": "constant", "rate": "6/min"}
    load = load_of(Injection.model_validate({"arrival": arrival, "prompt_tokens": FIXED, "output_tokens": FIXED}))
    conditions = Conditions(requests=40, promises=(PROMISE,))
    results = run_of([ReplicaSetup(limits=ONE_AT_A_TIME, step_time=Affine(base_s=0.02))], load, conditions)
    setup = engine_setup(model(), gpu_card("h100-sxm"), tensor_parallel=2)
    made = Forecast("chat", setup, 3, load, conditions, results, None, (), ())
    return made._replace(**changed)


def model() -> ModelCard:
    return known_models().card("meta-llama/Llama-3.1-8B-Instruct")


def test_a_forecast_is_told_with_its_bands() -> None:
    assert (
        forecasts_text([forecast()]).plain
        == """\
chat: meta-llama/Llama-3.1-8B-Instruct on 3 replicas of 2 x h100-sxm (TP2), vLLM 0.32
  traffic     constant 0.1/s; prompts 11, answers 11
  counted     40 requests in 390 s
  step times  roofline; bands hold 90 % of cases

             mean       p50       p90       p95       p99
  TTFT    20.0 ms   20.0 ms   20.0 ms   20.0 ms   20.0 ms
             20.0      20.0      20.0      20.0      20.0
  TPOT    20.0 ms   20.0 ms   20.0 ms   20.0 ms   20.0 ms
             20.0      20.0      20.0      20.0      20.0
  ITL     20.0 ms   20.0 ms   20.0 ms   20.0 ms   20.0 ms
             20.0      20.0      20.0      20.0      20.0
  E2E      220 ms    220 ms    220 ms    220 ms    220 ms
              220       220       220       220       220
  queue      0 ms      0 ms      0 ms      0 ms      0 ms
             0.00      0.00      0.00      0.00      0.00

  throughput  0.10 requests/s (0.09-0.11), 1.10 output tokens/s (1.04-1.16), 1.10 prompt tokens/s
  goodput     100.0 % of requests meet every target (100.0-100.0), 0.10/s
  engines     busy 2.3 % of the time, KV cache 0.0 % full, at most 0.0 %, 0 preemptions
  promise     TTFT p95 <= 50.0 ms: kept (20.0 ms, 20.0)

"""
    )


def test_capacity_says_what_would_break_first() -> None:
    def said(**changed: Any) -> str:
        known: dict[str, Any] = {"rate": Figure(9.5, Band(8.0, 10.0)), "saturated": 20.0, "tried": ()}
        capacity = Capacity(**(known | {"first_broken": (PROMISE,)} | changed))
        lines = forecasts_text([forecast(capacity=capacity)]).plain.splitlines()
        return next(line for line in lines if line.startswith("  capacity")).removeprefix("  capacity    ")

    assert said() == (
        "9.50 requests/s (8.00-10.0); above that TTFT p95 <= 50.0 ms is broken (served at most: 20.0)"
    )
    assert said(rate=Figure(0.0, Band(0.0, 0.0))) == (
        "none: TTFT p95 <= 50.0 ms is broken at any rate (served at most: 20.0)"
    )
    assert said(first_broken=()) == "9.50 requests/s (8.00-10.0), which is all that can be served"


def test_notes_and_sweeps_come_last() -> None:
    base = forecast()
    lines = forecasts_text([base._replace(sweep=((0.1, base.results),), notes=("look out",))]).plain.splitlines()

    assert lines[-4].split()[:3] == ["0.10", "20.0", "ms"]
    assert lines[-2] == "  note: look out"


def test_availability_is_a_promise_too() -> None:
    base = forecast()
    all_answered = base._replace(conditions=replace(base.conditions, availability=0.9995))
    too_short = ReplicaSetup(limits=replace(ONE_AT_A_TIME, max_model_len=20), step_time=Affine())
    none_answered = all_answered._replace(results=run_of([too_short], base.load, base.conditions))
    said = [
        next(line for line in forecasts_text([one]).plain.splitlines() if "availability" in line)
        for one in (all_answered, none_answered)
    ]

    assert said == [
        "  promise     availability >= 99.95 %: kept (100 % answered without an error)",
        "  promise     availability >= 99.95 %: broken (0 % answered without an error)",
    ]
    (found,) = forecasts_as_json([none_answered])["forecasts"]
    assert found["availability"] == {
        "target": 0.9995,
        "predicted": {"value": 0.0, "low": 0.0, "high": 0.0},
        "verdict": "broken",
    }
    assert forecasts_as_json([base])["forecasts"][0]["availability"] is None


def test_json_has_the_same_figures() -> None:
    base = forecast()
    (found,) = json.loads(json.dumps(forecasts_as_json([base]), allow_nan=False))["forecasts"]

    assert found["results"]["latencies"]["e2e"]["p99"] == pytest.approx({"value": 0.22, "low": 0.22, "high": 0.22})
    assert found["promises"][0]["verdict"] == "kept"
    assert (found["gpus_per_replica"], found["replicas"], found["capacity"]) == (2, 3, None)


def test_json_has_null_where_there_is_nothing() -> None:
    base = forecast()
    too_short = ReplicaSetup(limits=replace(ONE_AT_A_TIME, max_model_len=20), step_time=Affine())
    nothing = base._replace(results=run_of([too_short], base.load, base.conditions))
    (empty,) = json.loads(json.dumps(forecasts_as_json([nothing]), allow_nan=False))["forecasts"]

    assert empty["results"]["latencies"]["ttft"]["p50"] == {"value": None, "low": None, "high": None}
    assert (empty["results"]["rejected"], empty["promises"][0]["verdict"]) == (40, "broken")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0 ms"),
        (3e-6, "3.00 us"),
        (0.00085, "850 us"),
        (0.0123, "12.3 ms"),
        (0.9999, "1,000 ms"),
        (1.0, "1.00 s"),
        (599.0, "599 s"),
        (900.0, "15.0 min"),
        (86400.0, "24.0 h"),
        (math.nan, "-"),
    ],
)
def test_times_are_in_the_unit_people_would_use(value: float, said: str) -> None:
    assert seconds(value) == said


def test_an_engine_is_told_by_its_gpus_and_their_split() -> None:
    setup = engine_setup(
        model(), gpu_card("l40s"), tensor_parallel=2, pipeline_parallel=2, data_parallel=2, expert_parallel=True
    )

    assert engine_words(setup, 1) == "8 x l40s (TP2 PP2 DP2 EP), vLLM 0.32"
    assert engine_words(engine_setup(model(), gpu_card("l40s")), 2) == "2 replicas of l40s, vLLM 0.32"
