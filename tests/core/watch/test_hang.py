"""Replicas that run and do nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from enova.core.launch import Role
from enova.core.observed import Health, Look, Observed, Unknown
from enova.core.watch.hang import Hangs
from tests.staging import desired, running

CHAT = desired()
FOUND = running(CHAT)
REPLICA = next(one for one in FOUND if one.role is Role.REPLICA)


def seen(health: Health = Health.UNHEALTHY, *, routed: bool = True, **changes: Any) -> Observed:
    instances = [replace(one, health=health, **changes) if one == REPLICA else one for one in FOUND]
    gateway = next(one for one in FOUND if one.role is Role.GATEWAY)
    urls = frozenset(str(one.worker_url) for one in FOUND if one.role is Role.REPLICA) if routed else frozenset()
    look = Look(tuple(instances), frozenset())
    return Observed(runtimes={"docker": look}, gpus=(), routes={gateway.id: urls})


def test_one_that_answers_nothing_over_three_looks_and_a_while_hangs() -> None:
    hangs = Hangs()

    assert [hangs.look(seen(), at_s) for at_s in (0, 5, 10)] == [{}, {}, {}]
    assert hangs.look(seen(), 16) == {REPLICA.id: "it runs and has answered no health check for 16 s"}


def test_two_looks_are_not_enough_however_far_apart() -> None:
    hangs = Hangs()

    assert [hangs.look(seen(), at_s) for at_s in (0, 60, 60)] == [{}, {}, {}]


def test_one_answer_in_between_begins_it_anew() -> None:
    hangs = Hangs()
    for at_s in (0, 10):
        hangs.look(seen(), at_s)
    hangs.look(seen(Health.HEALTHY), 12)

    assert not hangs.suspects
    assert hangs.look(seen(), 20) == {}


def test_what_starts_or_gets_no_traffic_does_not_hang() -> None:
    hangs = Hangs()
    for at_s in range(0, 100, 10):
        assert hangs.look(seen(Health.STARTING), at_s) == {}
        assert hangs.look(seen(routed=False), at_s) == {}


def test_what_cannot_be_looked_at_is_not_forgotten_and_not_judged() -> None:
    hangs = Hangs()
    for at_s in (0, 10):
        hangs.look(seen(), at_s)
    blind = Observed(runtimes={"docker": Unknown("gone")}, gpus=(), routes={})

    assert hangs.look(blind, 15) == {}
    assert hangs.suspects
    assert REPLICA.id in hangs.look(seen(), 20)


def test_what_is_gone_for_good_is_forgotten() -> None:
    hangs = Hangs()
    hangs.look(seen(), 0)

    hangs.forget(Observed(runtimes={"docker": Look((), frozenset())}, gpus=(), routes={}))

    assert not hangs.suspects
