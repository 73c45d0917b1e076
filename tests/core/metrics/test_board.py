from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enova.core.ledger.histogram import Histogram
from enova.core.ledger.window import Look
from enova.core.metrics.board import Board
from enova.core.metrics.gateway_page import ATTEMPTS, RETRIES, GatewayLook
from enova.core.metrics.page import look_of
from enova.core.metrics.series import KEPT_S
from enova.core.metrics.target import Target
from enova.core.metrics.vitals import ReplicaVitals, Vitals
from enova.core.observed import Unknown
from tests.core.metrics.real import page_of

WORKER = "http://replica:8000"
REPLICA = Target(id="r0", name="chat#0", service="chat", gateway=False, url="", worker_url=WORKER)
OTHER = replace(REPLICA, id="r1", name="chat#1", worker_url="http://other:8000")
GATEWAY = Target(id="g0", name="chat@gateway", service="chat", gateway=True, url="")
EMPTY = look_of(page_of("0.25.0"), 0.0)


def replica(finished: float = 0.0, started_s: float | None = 7.0, **gauges: float) -> Look:
    """Return what a replica says that has answered so many requests, half of them within 0.1 s, all within 1 s."""
    engine = replace(
        EMPTY.engines["0"],
        **({"running": 2.0, "waiting": 1.0, "kv_usage": 0.5} | gauges),
        finished=finished,
        first_tokens=finished,
        prompt_tokens=10 * finished,
        output_tokens=5 * finished,
    )
    ttft = Histogram((0.1, 1.0, math.inf), (finished / 2, finished, finished), finished / 4)
    return Look(engines={"0": engine}, histograms={"ttft": ttft}, started_s=started_s)


def gateway(attempts: float, retries: float = 0.0, worker: str = WORKER) -> GatewayLook:
    return GatewayLook({(ATTEMPTS, worker): attempts, (RETRIES, "/v1/completions"): retries})


def board(*targets: Target) -> Board:
    made = Board()
    made.watch(targets or (GATEWAY, REPLICA), 0.0)
    return made


def fed(made: Board, until_s: float, *, per_s: float = 2.0, start_s: float = 0.0, base: float = 100.0) -> Board:
    """Let as many requests a second arrive and be answered, seen every 5 s."""
    for at_s in range(int(start_s), int(until_s) + 1, 5):
        made.take("g0", gateway(base + per_s * (at_s - start_s)), at_s)
        made.take("r0", replica(base + per_s * (at_s - start_s)), at_s)
    return made


def of(vitals: Vitals, name: str = "chat#0") -> ReplicaVitals:
    return vitals.replicas[name]


def test_rates_and_percentiles_are_those_of_what_came_since_the_first_look() -> None:
    vitals = fed(board(), 100).vitals("chat", 101.0)

    assert vitals.arrived_per_s == 2.0
    assert vitals.arrived_over == {60.0: 2.0, 300.0: 2.0, 900.0: 2.0}
    one = of(vitals)
    assert (one.running, one.waiting, one.kv_use, one.finished_per_s, one.seen_s) == (2, 1, 0.5, 2.0, 1.0)
    assert isinstance(one.ttft, dict)
    assert one.ttft["p50"] == pytest.approx(0.1)
    assert vitals.ttft == one.ttft
    assert vitals.unseen == ()


def test_retries_are_no_arrivals() -> None:
    made = board(GATEWAY)
    made.take("g0", gateway(0), 0.0)
    made.take("g0", gateway(30, retries=20), 5.0)

    assert made.vitals("chat", 5.0).arrived_per_s == 2.0


def test_arrivals_go_on_across_a_gateway_that_is_replaced() -> None:
    made = fed(board(), 100)
    new = replace(GATEWAY, id="g1")
    made.watch((new, REPLICA), 100.0)
    for at_s in range(100, 151, 5):
        made.take("g1", gateway(2.0 * (at_s - 100)), at_s)

    arrived = made.vitals("chat", 150.0).arrived_over
    assert arrived[300.0] == pytest.approx(2.0)
    made.watch((new, REPLICA), 101 + KEPT_S)
    assert "g0" not in made._watched


@pytest.mark.parametrize("lost", ["r0", "g0"])
def test_what_is_not_seen_any_more_becomes_unknown_with_the_reason_and_its_age(lost: str) -> None:
    made = fed(board(), 100)
    for at_s in range(105, 705, 5):
        made.take(lost, Unknown("it did not answer in time"), at_s)

    vitals = made.vitals("chat", 700.0)
    told = vitals.arrived_per_s if lost == "g0" else of(vitals).running
    assert isinstance(told, Unknown)
    assert told.reason.endswith("it did not answer in time")
    assert of(vitals).seen_s == 600.0
    assert all(isinstance(one, Unknown) for one in (vitals.ttft, vitals.tpot))


def test_a_look_that_is_missed_once_is_not_a_replica_that_is_unknown() -> None:
    made = fed(board(), 100)
    made.take("r0", Unknown("it did not answer in time"), 105.0)

    assert of(made.vitals("chat", 106.0)).running == 2


def test_when_nobody_is_seen_nothing_is_known_and_nothing_is_zero() -> None:
    vitals = board(GATEWAY, REPLICA, OTHER).vitals("chat", 0.0)

    assert isinstance(vitals.arrived_per_s, Unknown)
    assert not any(one.seen for one in vitals.replicas.values())
    assert len(vitals.unseen) == 3
    assert isinstance(board(REPLICA).vitals("chat", 0.0).arrived_over[60.0], Unknown)


def test_a_replica_that_is_started_anew_counts_on() -> None:
    made = fed(board(), 100)
    made.take("r0", replica(4, started_s=8.0), 105.0)

    assert of(made.vitals("chat", 105.0)).finished_per_s == pytest.approx((2 * 55 + 4) / 60, rel=0.05)


def test_a_replica_without_a_start_time_is_taken_to_be_started_anew_when_its_counters_fall() -> None:
    made = board(REPLICA)
    made.take("r0", replica(100, started_s=None), 0.0)
    made.take("r0", replica(10, started_s=None), 10.0)

    assert of(made.vitals("chat", 10.0)).finished_per_s == 1.0


def test_zeros_of_a_replica_that_was_not_started_anew_are_no_idleness_and_count_nothing_twice() -> None:
    made = fed(board(), 100)
    for at_s in range(105, 150, 5):
        assert made.take("r0", replica(0, running=0.0, waiting=0.0, kv_usage=0.0), at_s) is None

    unknown = of(made.vitals("chat", 145.0)).running
    assert isinstance(unknown, Unknown)
    assert "not started anew" in unknown.reason
    made.take("r0", replica(400), 150.0)
    assert of(made.vitals("chat", 150.0)).finished_per_s == pytest.approx(2.0, rel=0.1)


def test_a_replica_that_shows_nothing_of_what_it_is_handed_is_not_idle() -> None:
    made = board()
    for at_s in range(0, 61, 5):
        made.take("g0", gateway(at_s), at_s)
        made.take("r0", replica(0, running=0.0, waiting=0.0, kv_usage=0.0), at_s)

    unknown = of(made.vitals("chat", 60.0)).running
    assert isinstance(unknown, Unknown)
    assert unknown.reason == "its gateway handed it 60 requests within a minute, and its metrics show none"


def test_a_replica_that_nobody_asks_is_idle_and_known_to_be() -> None:
    made = board()
    for at_s in range(0, 61, 5):
        made.take("g0", gateway(9), at_s)
        made.take("r0", replica(3, running=0.0, waiting=0.0, kv_usage=0.0), at_s)

    vitals = made.vitals("chat", 60.0)
    assert (vitals.arrived_over[60.0], of(vitals).running, of(vitals).finished_per_s) == (0, 0, 0)
    assert isinstance(vitals.ttft, Unknown)


NONSENSE = st.sampled_from(["NaN", "+Inf", "-Inf", "-1", "1e15", "1e300"])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"]), NONSENSE)
def test_a_gauge_that_cannot_be_is_unknown_and_never_a_number(name: str, value: str) -> None:
    page = re.sub(rf"^(vllm:{name}\{{.*\}}) .*$", rf"\1 {value}", page_of("0.25.0"), flags=re.MULTILINE)
    made = board(REPLICA)
    made.take("r0", look_of(page, 0.0), 0.0)

    one = of(made.vitals("chat", 0.0))
    assert isinstance(one.kv_use if name.startswith("kv") else one.running, Unknown)


@settings(max_examples=60, deadline=None)
@given(NONSENSE)
def test_counters_that_cannot_be_leave_what_was_seen_before_as_it_is(text: str) -> None:
    value = float(text)
    made = fed(board(), 10)
    assert made.take("g0", gateway(value), 15.0) is None
    assert made.take("r0", replica(value), 15.0) is None

    vitals = made.vitals("chat", 15.0)
    assert (vitals.arrived_per_s, of(vitals).finished_per_s) == (2.0, 2.0)


def test_a_page_of_something_else_is_no_replica() -> None:
    made = board(REPLICA)
    made.take("r0", look_of("<html>busy</html>", 0.0), 0.0)

    assert of(made.vitals("chat", 0.0)).running == Unknown("it has none of vLLM's metrics")


def test_what_is_not_watched_any_more_says_nothing() -> None:
    assert board(REPLICA).take("gone", replica(1), 0.0) is None


def test_an_enova_that_is_started_anew_goes_on_where_the_one_before_stopped() -> None:
    before = fed(board(), 100)
    after = board()
    for name in ("g0", "r0"):
        after.begin(name, *before.raw(name))

    assert after.take("g0", gateway(330), 0.0) == {(ATTEMPTS, WORKER): 30.0, (RETRIES, "/v1/completions"): 0.0}
    grown = after.take("r0", replica(3, started_s=9.0), 0.0)
    assert grown is not None
    assert grown["engine 0", "finished"] == 3.0
