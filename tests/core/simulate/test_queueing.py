"""Known answers: where an engine is a queue that theory solves, it has to give the same."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heapreplace
from math import factorial

import numpy as np
import pytest
from numpy.typing import NDArray

from enova.core.simulate.changes import Ticks
from enova.core.simulate.fleet import Fleet
from enova.core.simulate.limits import Limits
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.routing import POLICIES, policy_of
from enova.core.workload.request import Request
from tests.core.simulate.step_times import Affine
from tests.core.simulate.tally import Tally

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS = 1000
"""Of a mean service, which takes 1 s. A geometric number of steps is as good as exponential at this many."""


def servers(number: int) -> ReplicaSetup:
    """One engine that is `number` servers with one queue: what is in a batch does not slow a step down."""
    limits = Limits(max_num_seqs=number, max_num_batched_tokens=1 << 30, kv_blocks=1 << 40)
    return ReplicaSetup(limits=limits, step_time=Affine(base_s=1 / STEPS))


def exponential_services(rng: np.random.Generator, number: int) -> Ints:
    return rng.geometric(1 / STEPS, number)


def poisson_arrivals_s(rng: np.random.Generator, rate: float, number: int) -> Floats:
    return np.cumsum(rng.exponential(1 / rate, number))


def requests(arrivals_s: Floats, output_tokens: Ints) -> Iterator[Request]:
    rows = zip(range(len(arrivals_s)), arrivals_s.tolist(), output_tokens.tolist(), strict=True)
    return (Request(number, arrival_s, 1, tokens) for number, arrival_s, tokens in rows)


def run(setup: ReplicaSetup, arrivals_s: Floats, output_tokens: Ints) -> Tally:
    tally = Tally()
    Fleet([setup], tally, np.random.default_rng(0)).serve(requests(arrivals_s, output_tokens))
    return tally


def lindley_waits_s(arrivals_s: Floats, services_s: Floats) -> Floats:
    """Waits in a queue with one server: W(n+1) = max(0, W(n) + S(n) - A(n+1)) (Lindley 1952), unrolled."""
    walk: Floats = np.concatenate(([0.0], np.cumsum(services_s[:-1] - np.diff(arrivals_s))))
    lowest: Floats = np.minimum.accumulate(walk)
    return walk - lowest


def many_server_waits_s(arrivals_s: Floats, services_s: Floats, servers: int) -> Floats:
    """Waits in one queue with many servers: the next goes to whoever is free first (Kiefer and Wolfowitz 1955)."""
    free_at_s = [0.0] * servers
    heapify(free_at_s)
    waits_s = []
    for arrival_s, service_s in zip(arrivals_s.tolist(), services_s.tolist(), strict=True):
        begin_s = max(arrival_s, free_at_s[0])
        heapreplace(free_at_s, begin_s + service_s)
        waits_s.append(begin_s - arrival_s)
    return np.array(waits_s)


@pytest.mark.parametrize("exponential", [True, False], ids=["M/M/1", "M/D/1"])
def test_one_seat_is_a_queue_with_one_server(exponential: bool) -> None:
    arrivals_s, tokens = sample(1, 5_000, 0.8, exponential=exponential)

    waits_s = run(servers(1), arrivals_s, tokens).waits_s()

    assert waits_s == pytest.approx(lindley_waits_s(arrivals_s, tokens / STEPS), abs=1e-7)


@pytest.mark.parametrize("seats", [2, 8])
def test_many_seats_are_a_queue_with_many_servers(seats: int) -> None:
    rng = np.random.default_rng(2)
    arrivals_s, tokens = poisson_arrivals_s(rng, 0.9 * seats, 5_000), exponential_services(rng, 5_000)

    waits_s = run(servers(seats), arrivals_s, tokens).waits_s()

    # Who comes while others run begins with their next step.
    late_s = waits_s - many_server_waits_s(arrivals_s, tokens / STEPS, seats)
    assert late_s.mean() == pytest.approx(0.5 / STEPS, abs=3 / STEPS)
    assert np.abs(late_s).max() < 100 / STEPS


def test_replicas_without_a_common_queue_are_queues_of_their_own() -> None:
    rng = np.random.default_rng(3)
    arrivals_s, tokens = poisson_arrivals_s(rng, 2.4, 6_000), exponential_services(rng, 6_000)
    tally = Tally()
    Fleet([servers(1)] * 3, tally, rng).serve(requests(arrivals_s, tokens))

    waits_s = tally.waits_s()

    for turn in range(3):
        expected = lindley_waits_s(arrivals_s[turn::3], tokens[turn::3] / STEPS)
        assert waits_s[turn::3] == pytest.approx(expected, abs=1e-7)


def evenly(rng: np.random.Generator, number: int) -> Floats:
    """Numbers from 0 to 1, one in each `number`-th, in random order: a sample whose own mean is right."""
    return (rng.permutation(number) + rng.random(number)) / number


def sample(seed: int, number: int, rate: float, *, exponential: bool) -> tuple[Floats, Ints]:
    """Arrivals and steps of a Poisson load whose services are exponential, or all alike, with a mean of 1 s."""
    rng = np.random.default_rng(seed)
    arrivals_s = np.cumsum(-np.log(1 - evenly(rng, number)) / rate)
    geometric = np.ceil(np.log(1 - evenly(rng, number)) / np.log(1 - 1 / STEPS))
    return arrivals_s, geometric.astype(np.int64) if exponential else np.full(number, STEPS)


# Two servers, Erlang C: of 1 s of load each half, 1/3 s. One with constant services: half of what it is with
# exponential ones (Pollaczek and Khinchine).
CASES = pytest.mark.parametrize(
    ("seats", "exponential", "rate", "expected_s"),
    [
        pytest.param(1, True, 0.5, 1.0, id="M/M/1"),
        pytest.param(1, False, 0.5, 0.5, id="M/D/1"),
        pytest.param(2, True, 1.0, 1 / 3, id="M/M/2"),
    ],
)


@CASES
def test_the_recursions_give_what_theory_says(
    seats: int, exponential: bool, rate: float, expected_s: float
) -> None:
    arrivals_s, tokens = sample(5, 400_000, rate, exponential=exponential)
    services_s = tokens / STEPS
    if seats == 1:
        waits_s = lindley_waits_s(arrivals_s, services_s)
    else:
        waits_s = many_server_waits_s(arrivals_s, services_s, seats)

    assert waits_s.mean() == pytest.approx(expected_s, rel=0.01)


@pytest.mark.slow
@CASES
def test_engines_give_what_theory_says(seats: int, exponential: bool, rate: float, expected_s: float) -> None:
    waits_s = run(servers(seats), *sample(0, 1_000_000, rate, exponential=exponential)).waits_s()

    assert waits_s.mean() == pytest.approx(expected_s, rel=0.01)


def test_littles_law_holds_for_what_is_seen_and_what_is_served() -> None:
    rng = np.random.default_rng(4)
    arrivals_s, tokens = poisson_arrivals_s(rng, 2.5, 6000), exponential_services(rng, 6000)
    seen: list[int] = []
    ticks = Ticks(0.37, lambda now_s, views: seen.append(views[0].running + views[0].waiting))
    tally = Tally()
    Fleet([servers(4)], tally, rng, ticks=ticks).serve(requests(arrivals_s, tokens))

    rate = len(tally.answers) / (len(seen) * 0.37)
    assert np.mean(seen) == pytest.approx(rate * tally.latencies_s().mean(), rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("users", [1, 10])
def test_a_closed_loop_has_the_throughput_of_theory(users: int) -> None:
    """One server, exponential services of 1 s and pauses of 4 s: the machine repairman (M/M/1//N)."""
    rng = np.random.default_rng(users)
    number, think_s = 9_000, 4.0
    _, tokens = sample(users, number, 1.0, exponential=True)
    tally = Tally()
    load = requests(np.zeros(number), tokens)
    Fleet([servers(1)], tally, rng).serve_users(load, users, lambda: rng.exponential(think_s))

    shares = [factorial(users) / factorial(users - waiting) / think_s**waiting for waiting in range(users + 1)]
    throughput = number / max(served.finished_s for served in tally.answers)
    assert throughput == pytest.approx(1 - shares[0] / sum(shares), rel=0.01)
    # Users are either served or thinking (the interactive response time law).
    assert throughput * (tally.latencies_s().mean() + think_s) == pytest.approx(users, rel=0.01)


def served_by(setups: list[ReplicaSetup], policy: str, rate: float, number: int = 1000) -> Tally:
    rng = np.random.default_rng(6)
    arrivals_s = poisson_arrivals_s(rng, rate, number).tolist()
    prompts, outputs = (np.ceil(rng.lognormal(mean, 0.8, number)).astype(int).tolist() for mean in (6.3, 4.6))
    rows = zip(range(number), arrivals_s, prompts, outputs, strict=True)
    tally = Tally()
    Fleet(setups, tally, rng, policy=policy_of(policy, rng)).serve(Request(*row) for row in rows)
    return tally


def gpu(speed: float) -> ReplicaSetup:
    step_time = Affine(
        base_s=0.008 / speed,
        per_chunk_token_s=4e-5 / speed,
        per_decode_s=5e-5 / speed,
        per_kv_token_s=1e-7 / speed,
    )
    limits = Limits(max_num_seqs=64, max_num_batched_tokens=2048, kv_blocks=4000)
    return ReplicaSetup(limits=limits, step_time=step_time)


def percentiles_s(tally: Tally) -> Floats:
    shares = np.arange(1, 100)
    return np.concatenate([np.percentile(values, shares) for values in (tally.ttfts_s(), tally.latencies_s())])


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_more_replicas_make_no_percentile_worse(policy: str) -> None:
    few, more, many = (percentiles_s(served_by([gpu(1.0)] * replicas, policy, 20)) for replicas in (2, 3, 6))

    assert np.all(more <= few * 1.02)
    assert np.all(many <= more * 1.02)


def test_a_faster_gpu_makes_no_percentile_worse() -> None:
    slow, faster, fastest = (percentiles_s(served_by([gpu(speed)], "round_robin", 9)) for speed in (1, 1.1, 2))

    assert np.all(faster <= slow)
    assert np.all(fastest <= faster)
