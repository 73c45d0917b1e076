"""Forecasts before and after a plan, on a host in memory."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from enova.advise import Wish
from enova.core.lockfile import Entry
from enova.core.observed import State, Unknown
from enova.core.outlook import Outlook
from enova.core.spec import Service
from enova.testing import MemoryHost, memory_world
from enova.tick import Tick, apply, plan
from tests.core.recommend.asking import service, traffic
from tests.knowing import Known
from tests.staging import gpus

pytestmark = pytest.mark.usefixtures("few_requests")


class Shop:
    """One host, and what is known."""

    def __init__(self, count: int = 8) -> None:
        self.host = MemoryHost(gpus=gpus(count))
        self.known = Known()
        self.lock: dict[str, Entry] = {}

    def plan(self, *services: Service, **wish: bool) -> Tick:
        world = memory_world(self.host)
        found = plan(services, world, self.known.knowledge(), lock=self.lock, wish=Wish(**wish))
        self.lock |= {name: one.entry for name, one in found.advice.items() if one.fresh and one.entry}
        return found

    def apply(self, *services: Service, **wish: bool) -> Tick:
        tick = self.plan(*services, **wish)
        assert apply(tick, memory_world(self.host), lambda _: None, threading.Event()).failures == []
        return tick


@pytest.fixture
def shop() -> Shop:
    return Shop()


def only(tick: Tick) -> Outlook:
    [outlook] = tick.outlooks
    return outlook


def test_nothing_runs_yet(shop: Shop) -> None:
    tick = shop.plan(service())

    found = only(tick)
    assert (found.now, found.now_words, found.fresh, found.interruptions) == (None, "nothing runs", True, ())
    assert found.after == shop.lock["chat"].forecast
    assert found.rollout_s == pytest.approx(111, rel=0.2)


def test_what_is_in_sync_is_now_as_it_is_to_be_and_is_not_simulated(shop: Shop) -> None:
    shop.apply(service())
    shop.known.asked.clear()

    tick = shop.plan(service())

    assert (tick.plan.exit_code, only(tick).now, only(tick).rollout_s) == (0, only(tick).after, None)
    assert shop.known.asked == []


def test_what_runs_is_simulated_under_the_traffic_that_is_stated_now(shop: Shop) -> None:
    shop.apply(service(engine={"max_num_seqs": 4}))

    tick = shop.plan(service(injection=traffic(40)))

    now, after = only(tick).now, only(tick).after
    assert now is not None
    assert after is not None
    assert (now.gpus, after.gpus) == (1, 1)
    assert now.figures["requests_per_s"].value < 0.8 * after.figures["requests_per_s"].value
    assert now.figures["ttft.p95"].value > 10 * after.figures["ttft.p95"].value


def test_arguments_that_run_now_are_those_that_are_simulated(shop: Shop) -> None:
    """Though the spec says nothing of them any more, also where Enova has no field of that name."""
    extra = {"scheduler_reserve_full_isl": "true", "watermark": 0.01}
    shop.apply(service(engine={"tensor_parallel_size": 2, "hf_overrides": {"rope_theta": 1}, "extra_args": extra}))

    found = only(shop.plan(service()))

    assert found.now is not None
    assert (found.now.gpus, found.now_words) == (2, "")
    assert found.now.figures["tpot.p50"].value < 0.8 * found.after.figures["tpot.p50"].value  # type: ignore[union-attr]


def test_another_number_of_replicas_is_another_forecast(shop: Shop) -> None:
    shop.apply(service())

    tick = shop.plan(service(scaling={"min": 2}))

    found = only(tick)
    assert found.now is not None
    assert found.after is not None
    assert [(one.replicas, one.usd_per_h) for one in (found.now, found.after)] == [(1, 2.69), (2, 5.38)]


def test_replicas_that_differ_are_not_forecast(shop: Shop) -> None:
    shop.apply(service(scaling={"min": 2}))
    key = next(key for key, one in shop.host.instances.items() if one.target == "chat#1")
    shop.host.instances[key] = replace(shop.host.instances[key], fingerprint="v1:other")

    found = only(shop.plan(service(scaling={"min": 2})))

    assert (found.now, found.now_words) == (None, "replicas differ, a change is under way")


def test_a_replica_that_is_down_counts_for_nothing(shop: Shop) -> None:
    shop.apply(service())
    key = next(key for key, one in shop.host.instances.items() if one.target == "chat#0")
    shop.host.instances[key] = replace(shop.host.instances[key], state=State.EXITED, url=None, worker_url=None)

    assert only(shop.plan(service())).now_words == "nothing runs"


def test_a_model_that_cannot_be_told_has_no_forecast_of_now(shop: Shop) -> None:
    shop.apply(service(engine={"max_num_seqs": 4}))
    key = next(key for key, one in shop.host.instances.items() if one.target == "chat#0")
    strange = shop.host.instances[key].settings | {"engine.tensor_parallel_size": 0}  # type: ignore[operator]
    shop.host.instances[key] = replace(shop.host.instances[key], settings=strange)

    found = only(shop.plan(service()))

    assert (found.now, found.now_words[:16]) == (None, "cannot be told: ")


def test_docker_that_cannot_be_looked_at_leaves_now_unknown(shop: Shop) -> None:
    shop.apply(service())
    shop.host.unreachable.add("docker")

    tick = shop.plan(service())

    found = only(tick)
    assert (found.now, found.now_words, tick.plan.actions) == (None, "could not look", ())
    assert found.after == shop.lock["chat"].forecast


def test_gpus_that_cannot_be_looked_at_lead_to_nothing(shop: Shop) -> None:
    """Nothing is chosen anew and nothing that runs is touched, whatever changed."""
    shop.apply(service(scaling={"min": 2}))
    kept = dict(shop.lock)
    shop.host.gpus = Unknown("NVML does not answer")

    tick = shop.plan(service(slo={"tpot": {"p95": "50ms"}}))

    assert (tick.plan.actions, [note.message for note in tick.plan.unknowns]) == (
        (),
        ["GPUs: NVML does not answer"],
    )
    assert shop.lock == kept


def test_services_come_by_name_and_those_without_a_choice_are_left_out(shop: Shop) -> None:
    plain = service(metadata={"name": "plain"}, slo=None, injection=None, gateway={"port": 9300})
    code = service(metadata={"name": "code"}, gateway={"port": 9301})

    tick = shop.plan(service(), plain, code)

    assert [outlook.service for outlook in tick.outlooks] == ["chat", "code"]


def test_interruptions_are_those_of_the_plan() -> None:
    shop = Shop(1)
    shop.apply(service())

    tick = shop.plan(service(engine={"max_num_seqs": 4}))

    assert only(tick).interruptions == tuple(action.impact for action in tick.plan.actions if action.impact)
    assert len(only(tick).interruptions) == 1
    assert only(tick).rollout_s == pytest.approx(141, rel=0.2)


@pytest.mark.parametrize(("wish", "outlooks"), [({}, 1), ({"foresee": False}, 0)])
def test_nothing_is_foreseen_where_nobody_wants_to_know(shop: Shop, wish: dict[str, Any], outlooks: int) -> None:
    assert len(shop.plan(service(), **wish).outlooks) == outlooks


def test_without_knowledge_everything_open_has_its_default(shop: Shop) -> None:
    tick = plan([service()], memory_world(shop.host))

    assert (tick.advice, tick.outlooks, tick.resolved[0].replicas, tick.resolved[0].gpu) == ({}, (), 1, None)


def test_an_infeasible_service_is_refused_and_the_lock_is_kept(shop: Shop) -> None:
    shop.plan(service())
    kept = dict(shop.lock)

    tick = shop.plan(service(slo={"tpot": {"p95": "1ms"}}))

    assert [note.message[:12] for note in tick.plan.refusals] == ["infeasible: "]
    assert (shop.lock, tick.plan.exit_code, tick.outlooks) == (kept, 1, ())
