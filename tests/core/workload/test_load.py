"""A load is the same whenever it is asked, and a change to one part of it leaves the others alone."""

from __future__ import annotations

import tracemalloc
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest

from enova.core.spec.injection import Injection
from enova.core.workload.load import Load, Users, files_of, load_of
from enova.core.workload.recording import Recording
from enova.core.workload.request import Request
from enova.errors import UsageError

LOGNORMAL = {"distribution": "lognormal", "mean": 300, "std": 300}
CHAT: dict[str, Any] = {"name": "chat", "weight": 3, "prompt_tokens": LOGNORMAL, "output_tokens": LOGNORMAL}
CODE: dict[str, Any] = CHAT | {"name": "code", "weight": 1}


def load(recordings: dict[str, Recording] | None = None, seed: int | None = None, **keys: Any) -> Load:
    defaults: dict[str, Any] = {"arrival": {"process": "poisson", "rate": "10/s"}}
    if "classes" not in keys and "dataset" not in keys and recordings is None:
        defaults |= {"prompt_tokens": LOGNORMAL, "output_tokens": LOGNORMAL}
    return load_of(Injection.model_validate(defaults | keys), recordings=recordings, seed=seed)


def taken(source: Load, count: int = 2000) -> list[Request]:
    return list(source.requests(count))


def test_the_same_load_comes_out_the_same_and_another_seed_another() -> None:
    assert taken(load(seed=1)) == taken(load(seed=1))
    assert taken(load(seed=1)) != taken(load(seed=2))


def test_a_seed_given_goes_before_that_of_the_spec() -> None:
    spec = Injection.model_validate(
        {"arrival": {"process": "poisson", "rate": "10/s"}, "prompt_tokens": LOGNORMAL, "output_tokens": LOGNORMAL}
        | {"seed": 5}
    )

    assert (load_of(spec).seed, load_of(spec, seed=9).seed) == (5, 9)


def test_a_longer_load_begins_like_a_shorter_one() -> None:
    assert taken(load(), 10_000)[:3000] == taken(load(), 3000)


def test_requests_are_numbered_and_come_in_order() -> None:
    requests = taken(load(), 9000)

    assert [request.number for request in requests] == list(range(9000))
    assert all(first.arrival_s <= second.arrival_s for first, second in pairwise(requests))


def test_a_duration_ends_it() -> None:
    constant = {"process": "constant", "rate": "10/s"}

    assert len(list(load(arrival=constant, duration="60s").requests())) == 600
    assert len(list(load(arrival=constant, duration="60s").requests(limit=50))) == 50
    assert len(list(load(arrival=constant, duration="1000s").requests(limit=9000))) == 9000


def test_lengths_do_not_depend_on_when_requests_come() -> None:
    def lengths(requests: list[Request]) -> list[tuple[int, int]]:
        return [(request.prompt_tokens, request.output_tokens) for request in requests]

    fast = load(arrival={"process": "gamma", "rate": "99/s", "cv": 4})

    assert lengths(taken(load())) == lengths(taken(fast))


def test_classes_come_as_often_as_their_weights_say() -> None:
    requests = taken(load(classes=[CHAT, CODE]), 40_000)

    assert sum(request.kind == "chat" for request in requests) / 40_000 == pytest.approx(0.75, abs=0.01)


def test_another_class_takes_requests_away_and_leaves_the_others_as_they_were() -> None:
    before = taken(load(classes=[CHAT, CODE]), 5000)
    after = taken(load(classes=[CHAT, {**CODE, "name": "new", "weight": 1}, CODE]), 5000)

    assert [request.arrival_s for request in before] == [request.arrival_s for request in after]
    assert all(old.kind == new.kind for old, new in zip(before, after, strict=True) if new.kind != "new")
    for kind in ("chat", "code"):
        was = [request.prompt_tokens for request in before if request.kind == kind]
        now = [request.prompt_tokens for request in after if request.kind == kind]
        assert was[: len(now)] == now
        assert now


def test_a_shared_prefix_is_part_of_the_prompt_and_belongs_to_one_class() -> None:
    mix = [
        CHAT | {"shared_prefix": {"tokens": 200, "count": 3}},
        CODE,
        CODE | {"name": "docs", "shared_prefix": {"tokens": 50}},
    ]
    requests = taken(load(classes=mix), 20_000)
    prefixes = {kind: {r.prefix for r in requests if r.kind == kind} for kind in ("chat", "code", "docs")}

    assert prefixes == {"chat": {0, 1, 2}, "code": {-1}, "docs": {3}}
    for request in requests:
        longest = {"chat": 200, "code": 0, "docs": 50}[request.kind]
        assert request.prefix_tokens == min(request.prompt_tokens, longest)
    shares = np.bincount([request.prefix for request in requests if request.kind == "chat"]) / 12_000
    assert shares.tolist() == pytest.approx([1 / 3] * 3, rel=0.1)


def test_a_single_class_keeps_its_name() -> None:
    assert {request.kind for request in taken(load(classes=[CHAT]))} == {"chat"}


def test_a_trace_gives_the_lengths_too_unless_the_spec_does() -> None:
    rows = Recording(
        at_s=np.arange(5000) / 10, prompt_tokens=np.arange(5000) + 1, output_tokens=np.arange(5000) + 2
    )
    arrival = {"process": "trace", "file": "t.csv"}
    played = taken(load({"t.csv": rows}, arrival=arrival), 9999)
    shorter = taken(
        load({"t.csv": rows}, arrival=arrival, output_tokens={"distribution": "fixed", "tokens": 7}), 9999
    )

    assert len(played) == 5000
    assert [(r.arrival_s, r.prompt_tokens, r.output_tokens) for r in played[4998:]] == [
        (499.8, 4999, 5000),
        (499.9, 5000, 5001),
    ]
    assert {r.output_tokens for r in shorter} == {7}
    assert shorter[4999].prompt_tokens == 5000


def test_a_dataset_is_drawn_from_at_random_with_prompt_and_answer_of_one_row() -> None:
    rows = Recording(prompt_tokens=np.array([10, 20, 30]), output_tokens=np.array([1, 2, 3]))
    requests = taken(load({"d.jsonl": rows}, dataset="d.jsonl"), 3000)
    pairs, counts = np.unique([(r.prompt_tokens, r.output_tokens) for r in requests], axis=0, return_counts=True)

    assert pairs.tolist() == [[10, 1], [20, 2], [30, 3]]
    assert counts.tolist() == pytest.approx([1000] * 3, rel=0.1)
    assert all(r.prompt_tokens == rows.prompt_tokens[r.row] for r in requests if rows.prompt_tokens is not None)
    assert {r.row for r in taken(load())} == {-1}


def test_a_closed_loop_says_how_many_users_there_are() -> None:
    closed = load(arrival={"process": "closed_loop", "users": 8, "think_time": "2s"})

    assert closed.users == Users(8, 2.0)
    assert load().users is None
    assert {request.arrival_s for request in taken(closed)} == {0.0}


def test_all_that_is_left_open_is_said_at_once() -> None:
    with pytest.raises(UsageError) as raised:
        load_of(Injection.model_validate({"classes": [{"name": "a", "weight": 1, "prompt_tokens": LOGNORMAL}]}))

    assert raised.value.message == (
        "the traffic is not known: injection.arrival is not set, injection.classes.0.output_tokens is not set"
    )


def test_a_trace_without_times_is_said_to_have_none() -> None:
    arrival = {"process": "trace", "file": "t.csv"}
    rows = Recording(prompt_tokens=np.array([1]), output_tokens=np.array([1]))

    with pytest.raises(UsageError, match=r"t\.csv has no times"):
        load({"t.csv": rows}, arrival=arrival)


def test_the_files_a_load_needs_are_named_once_each() -> None:
    injection = Injection.model_validate(
        {
            "arrival": {"process": "trace", "file": "t.csv"},
            "classes": [
                {"name": "a", "weight": 1, "dataset": "d.jsonl"},
                {"name": "b", "weight": 1, "dataset": "d.jsonl"},
            ],
        }
    )

    assert files_of(injection) == ("t.csv", "d.jsonl")


def test_memory_does_not_grow_with_the_number_of_requests() -> None:
    endless = load(classes=[CHAT, CODE]).requests()
    list(islice(endless, 10_000))
    tracemalloc.start()
    for _ in islice(endless, 30_000):
        pass
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert highest < 4_000_000
