"""Bounds prune and never throw away what would do."""

from __future__ import annotations

from typing import Any

import pytest

from enova.core.inventory import Inventory
from enova.core.recommend.bounds import SLACK, decode_seats
from enova.core.recommend.limits import Allowed, allowed_of
from enova.core.recommend.search import least_replicas
from enova.core.recommend.shape import Shape, shapes_of
from enova.core.recommend.trial import Bench
from tests.core.recommend.asking import pool, question, service, traffic


def bench(**sections: Any) -> tuple[Bench, list[Shape]]:
    asked = question(service(**sections), pool("l40s", per_host=2))
    assert asked.demand is not None
    return Bench(asked, asked.demand), shapes_of(asked)[0]


@pytest.mark.parametrize("slo", [None, {"tpot": {"p95": "40ms"}}], ids=str)
def test_no_replica_holds_more_than_its_bound(slo: dict[str, Any] | None) -> None:
    found, shapes = bench(injection=traffic(200), slo=slo)

    beyond = [found.trial(shape, 200 / (SLACK * found.bounds(shape).most_per_s), times=1) for shape in shapes]

    assert [trial.kept for trial in beyond] == [False, False]


def test_a_promise_that_a_lone_request_breaks_is_found_without_a_simulation() -> None:
    found, shapes = bench(slo={"tpot": {"p95": "5ms"}, "ttft": {"p95": "10s"}})

    broken = found.bounds(shapes[0]).broken

    assert ([promise.metric for promise, _ in broken], found.trials) == (["tpot"], {})


def test_no_batch_keeps_a_promise_that_steps_alone_break() -> None:
    found, shapes = bench(slo={"tpot": {"p95": "5ms"}})

    assert (found.bounds(shapes[0]).most_per_s, least_replicas(found, shapes[0], allowed_of(service()))) == (
        0,
        1025,
    )


def test_the_largest_batch_within_a_target_is_found() -> None:
    found, shapes = bench()
    step_time = found.replica(shapes[0]).step_time

    seats = [decode_seats(step_time, found.demand, ms / 1000, 256) for ms in (1, 22, 30, 10_000)]

    assert seats == sorted(seats)
    assert (seats[0], seats[-1]) == (0, 256)
    assert 0 < seats[2] < 256


class TestAllowed:
    """How many replicas there may be, and what says so."""

    NONE = Allowed(gpus=None, usd_per_h=None, least=1, most=None)

    def test_the_tightest_bound_is_named(self) -> None:
        asked = question(
            service(budget={"gpus": 5, "cost": "3 USD/h"}, scaling={"max": 4}),
            pool("l40s", hosts=9, source="a.yaml:1"),
        )
        shape = shapes_of(asked)[0][0]

        assert allowed_of(asked.service).replicas(shape) == (3, "budget.cost is 3 USD/h")

    def test_a_replica_of_two_gpus_counts_twice(self) -> None:
        asked = question(service(budget={"gpus": 5}), pool("l40s", per_host=2, hosts=9))
        shape = shapes_of(asked)[0][1]

        assert (shape.gpus, allowed_of(asked.service).replicas(shape)) == (2, (2, "budget.gpus is 5"))

    def test_without_a_bound_there_is_none(self) -> None:
        shape = shapes_of(question(service()))[0][0]

        assert self.NONE.replicas(shape) == (float("inf"), "")

    def test_no_pool_gives_no_shape(self) -> None:
        asked = question(service())

        assert shapes_of(
            type(asked)(**{name: getattr(asked, name) for name in asked.__slots__} | {"inventory": Inventory()})
        ) == ([], [])
