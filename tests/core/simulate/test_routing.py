from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from enova.core.simulate.routing import (
    POLICIES,
    CacheAware,
    ConsistentHash,
    LeastLoaded,
    Policy,
    PowerOfTwo,
    Random,
    RoundRobin,
    StickyLeastLoaded,
    Weighted,
    policy_of,
)
from enova.core.workload.request import Request


@dataclass
class Worker:
    number: int
    in_flight: int = 0
    weight: float = 1.0


def workers(*loads: int) -> list[Worker]:
    return [Worker(number, load) for number, load in enumerate(loads)]


def request(number: int, prefix: int = -1, prefix_tokens: int = 0) -> Request:
    return Request(number, 0.0, 1000, 100, prefix=prefix, prefix_tokens=prefix_tokens)


def picks(policy: Policy, replicas: Sequence[Worker], count: int = 1000) -> Counter[int]:
    return Counter(policy.pick(request(number), replicas) for number in range(count))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_round_robin_takes_turns_whatever_the_load() -> None:
    policy = RoundRobin()

    assert [policy.pick(request(number), workers(9, 0, 0)) for number in range(5)] == [0, 1, 2, 0, 1]


def test_random_picks_each_about_as_often(rng: np.random.Generator) -> None:
    counts = picks(Random(rng), workers(0, 5, 50), 3000)

    assert sorted(counts) == [0, 1, 2]
    assert min(counts.values()) > 900


def test_power_of_two_never_picks_the_busiest_and_mostly_the_least_busy(rng: np.random.Generator) -> None:
    counts = picks(PowerOfTwo(rng), workers(10, 5, 0), 3000)

    assert counts[0] == 0
    # Of three pairs two contain the idle one.
    assert counts[2] == pytest.approx(2000, abs=100)


def test_power_of_two_has_no_choice_with_one_replica(rng: np.random.Generator) -> None:
    assert PowerOfTwo(rng).pick(request(0), workers(99)) == 0


def test_least_loaded_picks_the_first_of_equals() -> None:
    assert LeastLoaded().pick(request(0), workers(3, 1, 1)) == 1


def test_cache_aware_goes_back_to_where_the_prefix_was_seen() -> None:
    policy = CacheAware()
    first = policy.pick(request(0, prefix=4, prefix_tokens=500), workers(5, 0, 5))

    assert first == 1
    assert policy.pick(request(1, prefix=4, prefix_tokens=500), workers(0, 9, 0)) == 1


def test_cache_aware_goes_by_load_if_too_little_of_the_prompt_is_shared() -> None:
    policy = CacheAware()
    policy.pick(request(0, prefix=4, prefix_tokens=300), workers(5, 0))

    assert policy.pick(request(1, prefix=4, prefix_tokens=300), workers(0, 9)) == 0


def test_cache_aware_goes_by_load_for_prompts_that_share_nothing() -> None:
    policy = CacheAware()
    policy.pick(request(0), workers(5, 0))

    assert policy.pick(request(1), workers(0, 9)) == 0


@pytest.mark.parametrize(
    ("loads", "expected"),
    [((0, 64), 1), ((0, 65), 0), ((200, 300), 1), ((200, 301), 0)],
    ids=["64 more", "65 more", "1.5 times", "over 1.5 times"],
)
def test_cache_aware_evens_out_loads_that_differ_by_both_thresholds(loads: tuple[int, int], expected: int) -> None:
    policy = CacheAware()
    policy.pick(request(0, prefix=4, prefix_tokens=900), workers(5, 0))

    assert policy.pick(request(1, prefix=4, prefix_tokens=900), workers(*loads)) == expected


def test_cache_aware_learns_where_it_sent_a_prefix_to_even_out_loads() -> None:
    policy = CacheAware()
    policy.pick(request(0, prefix=4, prefix_tokens=900), workers(5, 0))
    policy.pick(request(1, prefix=4, prefix_tokens=900), workers(0, 100))

    assert policy.pick(request(2, prefix=4, prefix_tokens=900), workers(9, 0)) == 0


def test_cache_aware_forgets_a_replica_that_is_gone() -> None:
    policy = CacheAware()
    policy.pick(request(0, prefix=4, prefix_tokens=900), workers(5, 0, 5))

    assert policy.pick(request(1, prefix=4, prefix_tokens=900), [Worker(0, 3), Worker(2, 1)]) == 1


def test_consistent_hash_keeps_a_prefix_on_one_replica_and_spreads_the_others() -> None:
    policy = ConsistentHash()
    replicas = workers(0, 0, 0, 0)

    assert len({policy.pick(request(number, prefix=8), replicas) for number in range(20)}) == 1
    assert min(picks(policy, replicas, 4000).values()) > 600


def test_consistent_hash_moves_only_what_a_replica_that_left_had() -> None:
    policy = ConsistentHash()
    four = workers(0, 0, 0, 0)
    before = [four[policy.pick(request(0, prefix=prefix), four)].number for prefix in range(500)]
    three = [four[0], four[1], four[3]]
    after = [three[policy.pick(request(0, prefix=prefix), three)].number for prefix in range(500)]

    assert [number for number in before if number != 2] == [
        number for number, was in zip(after, before, strict=True) if was != 2
    ]


def test_sticky_least_loaded_begins_sessions_where_the_fewest_are() -> None:
    policy = StickyLeastLoaded()
    replicas = workers(0, 0, 0)

    homes = [policy.pick(request(prefix, prefix=prefix), replicas) for prefix in range(30)]

    assert Counter(homes) == {0: 10, 1: 10, 2: 10}
    assert [policy.pick(request(prefix, prefix=prefix), replicas) for prefix in range(30)] == homes


def test_sticky_least_loaded_moves_a_session_whose_replica_is_gone() -> None:
    policy = StickyLeastLoaded()
    home = policy.pick(request(0, prefix=1), workers(0, 0))
    left = [Worker(1 - home)]

    assert policy.pick(request(1, prefix=1), left) == 0
    assert policy.pick(request(2, prefix=1), workers(0, 0)) == 1 - home


def test_sticky_least_loaded_spreads_requests_without_a_session() -> None:
    assert min(picks(StickyLeastLoaded(), workers(0, 0, 0), 3000).values()) > 900


def test_weighted_gives_each_its_share_as_evenly_as_possible() -> None:
    policy = Weighted()
    replicas = [Worker(0, weight=3.0), Worker(1, weight=1.0)]

    assert [policy.pick(request(number), replicas) for number in range(8)] == [0, 0, 1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_picks_one_of_the_replicas_and_repeats_itself_by_seed(name: str) -> None:
    replicas = workers(3, 1, 4, 1)
    requests = [request(number, prefix=number % 5 - 1, prefix_tokens=600) for number in range(200)]

    def run() -> list[int]:
        policy = policy_of(name, np.random.default_rng(3))
        return [policy.pick(each, replicas) for each in requests]

    assert run() == run()
    assert set(run()) <= {0, 1, 2, 3}
    assert policy_of(name, np.random.default_rng(3)).pick(requests[0], replicas[:1]) == 0
