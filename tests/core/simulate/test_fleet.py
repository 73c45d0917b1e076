from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enova.core.engine.step_time import Frontend
from enova.core.simulate.changes import Change, Drain, Fail, Retries, Scale, Ticks
from enova.core.simulate.fleet import Fleet
from enova.core.simulate.limits import Limits
from enova.core.simulate.replica import ReplicaSetup, ReplicaView, Stage
from enova.core.simulate.routing import POLICIES, LeastLoaded, Policy, policy_of
from enova.core.workload.request import Request
from tests.core.simulate.step_times import Affine
from tests.core.simulate.tally import Tally

LIMITS = Limits(max_num_seqs=8, max_num_batched_tokens=2048, kv_blocks=1000, max_model_len=4096)


def replica(step_s: float = 0.01, *, start_up_s: float = 0.0, max_num_seqs: int = 8) -> ReplicaSetup:
    limits = Limits(max_num_seqs=max_num_seqs, max_num_batched_tokens=2048, kv_blocks=1000, max_model_len=4096)
    return ReplicaSetup(limits=limits, step_time=Affine(base_s=step_s), start_up_s=start_up_s)


def fleet(
    tally: Tally,
    setups: Sequence[ReplicaSetup],
    *changes: Change,
    policy: Policy | None = None,
    retries: Retries | None = None,
    ticks: Ticks | None = None,
    leap: bool = True,
) -> Fleet:
    rng = np.random.default_rng(11)
    return Fleet(setups, tally, rng, policy=policy, retries=retries, changes=changes, ticks=ticks, leap=leap)


def every(gap_s: float, number: int, *, output_tokens: int = 50) -> list[Request]:
    return [Request(index, index * gap_s, 100, output_tokens) for index in range(number)]


def poisson(rate: float, number: int, seed: int = 5) -> list[Request]:
    rng = np.random.default_rng(seed)
    arrivals_s = np.cumsum(rng.exponential(1 / rate, number)).tolist()
    prompts, outputs = rng.integers(1, 1500, number).tolist(), rng.integers(1, 200, number).tolist()
    prefixes = rng.integers(-1, 5, number).tolist()
    rows = zip(count(), arrivals_s, prompts, outputs, prefixes, strict=False)
    return [
        Request(index, arrival_s, prompt, output, prefix=prefix, prefix_tokens=prompt // 2 if prefix >= 0 else 0)
        for index, arrival_s, prompt, output, prefix in rows
    ]


def test_a_request_takes_as_long_as_its_steps() -> None:
    tally = Tally()
    fleet(tally, [replica(0.01)]).serve([Request(0, 2.0, 100, 50)])

    assert tally.latencies_s() == pytest.approx([0.5])
    assert tally.ttfts_s() == pytest.approx([0.01])


def test_replicas_may_differ() -> None:
    tally = Tally()
    fleet(tally, [replica(0.01), replica(0.03)]).serve(every(10, 4))

    assert tally.latencies_s() == pytest.approx([0.5, 1.5, 0.5, 1.5])


def test_least_loaded_sends_most_to_the_faster_replica() -> None:
    tally = Tally()
    served = fleet(tally, [replica(0.01), replica(0.03)], policy=LeastLoaded())
    served.serve(poisson(8, 500))

    tokens = [one.engine.output_tokens for one in served.replicas]
    assert tokens[0] > 2 * tokens[1]


def test_requests_over_the_model_length_are_rejected_and_others_served() -> None:
    tally = Tally()
    fleet(tally, [replica()]).serve([Request(0, 0.0, 5000, 10), Request(1, 0.0, 50, 10)])

    assert [request.number for request in tally.refusals] == [0]
    assert [served.request.number for served in tally.answers] == [1]


def test_what_would_happen_after_the_last_answer_does_not() -> None:
    served = fleet(Tally(), [replica()], Scale(1.0, 2), Scale(1e6, 9))
    served.serve(every(0.3, 10))

    assert len(served.replicas) == 2
    assert served.replicas[0].engine.now_s == pytest.approx(2.7 + 0.5)


def test_users_send_nothing_after_the_end_and_get_their_last_answer() -> None:
    tally = Tally()
    fleet(tally, [replica()]).serve_users(iter(every(0, 99)), 2, lambda: 0.1, until_s=2.0)

    # At 0, 0.6, 1.2 and 1.8 s, each answered 0.5 s later.
    assert len(tally.answers) == 8
    assert tally.answers[-1].finished_s == pytest.approx(2.3)


def test_a_closed_loop_never_has_more_requests_than_users() -> None:
    tally = Tally()
    seen: list[int] = []
    ticks = Ticks(0.1, lambda now_s, views: seen.append(views[0].in_flight))
    fleet(tally, [replica()], ticks=ticks).serve_users(iter(every(0, 40)), 4, lambda: 0.2)

    assert max(seen) == 4
    assert len(tally.answers) == 40


def test_users_think_between_an_answer_and_the_next_request() -> None:
    tally = Tally()
    fleet(tally, [replica()]).serve_users(iter(every(0, 3)), 1, lambda: 2.0)

    assert [served.request.arrival_s for served in tally.answers] == pytest.approx([0.0, 2.5, 5.0])
    assert tally.latencies_s() == pytest.approx([0.5] * 3)


def test_users_wait_for_the_answer_to_reach_them() -> None:
    tally = Tally()
    setup = ReplicaSetup(limits=LIMITS, step_time=Affine(base_s=0.01), frontend=Frontend(0.1, 0.0, 0.2))
    fleet(tally, [setup]).serve_users(iter(every(0, 2)), 1, lambda: 0.0)

    assert [served.request.arrival_s for served in tally.answers] == pytest.approx([0.0, 0.8])


def test_users_begin_one_after_another_if_asked_to() -> None:
    tally = Tally()
    fleet(tally, [replica()]).serve_users(iter(every(0, 4, output_tokens=300)), 4, lambda: 0.0, ramp_s=2.0)

    assert [served.request.arrival_s for served in tally.answers] == pytest.approx([0.0, 0.5, 1.0, 1.5])


def test_users_who_begin_together_share_the_first_step() -> None:
    tally = Tally()
    fleet(tally, [replica()], policy=LeastLoaded()).serve_users(iter(every(0, 8)), 8, lambda: 0.0)

    assert tally.ttfts_s() == pytest.approx([0.01] * 8)


def test_a_closed_loop_of_impossible_requests_ends() -> None:
    tally = Tally()
    endless = (Request(number, 0.0, 9999, 10) for number in count())
    fleet(tally, [replica()]).serve_users(endless, 2, lambda: 0.0, until_s=1.0)

    assert not tally.answers
    assert len(tally.refusals) == pytest.approx(200, abs=4)


def test_an_added_replica_gets_requests_once_it_has_started() -> None:
    tally = Tally()
    served = fleet(tally, [replica(start_up_s=5.0)], Scale(2.0, 2))
    served.serve(every(1, 20))

    second = served.replicas[1]
    assert (second.started_s, second.ready_s) == (2.0, 7.0)
    # Of those at 7 to 19 s every other one.
    assert second.engine.output_tokens == 50 * 7 or second.engine.output_tokens == 50 * 6


def test_a_drained_replica_answers_what_it_has_and_stops() -> None:
    tally = Tally()
    served = fleet(tally, [replica(), replica()], Drain(1.25, 1))
    served.serve(every(0.2, 20))

    assert tally.numbers == list(range(20))
    assert served.replicas[1].stage is Stage.STOPPED
    # The last it got came at 1.0 s and took 0.5 s.
    assert served.replicas[1].stopped_s == pytest.approx(1.5, abs=0.02)
    assert served.replica_seconds(4.0) == pytest.approx(4.0 + served.replicas[1].stopped_s)


def test_scaling_down_takes_the_youngest_even_before_they_are_ready() -> None:
    served = fleet(Tally(), [replica(start_up_s=9.0)], Scale(1.0, 4), Scale(2.0, 2))
    served.serve(every(1, 20))

    stages = [one.stage for one in served.replicas]
    assert stages == [Stage.READY, Stage.READY, Stage.STOPPED, Stage.STOPPED]
    assert [one.stopped_s for one in served.replicas[2:]] == [2.0, 2.0]


def test_requests_a_dead_replica_had_not_begun_to_answer_are_tried_again_elsewhere() -> None:
    tally = Tally()
    setups = [replica(max_num_seqs=1), replica(max_num_seqs=1)]
    # Each answers one and lets two wait. The router gives up on the dead one at once.
    served = fleet(tally, setups, Fail(0.25, 0, restarts=False), retries=Retries(failures_until_out=3))
    served.serve(every(0.01, 6))

    assert [(request.number, at_s) for request, at_s, _ in tally.losses] == [(0, 0.25)]
    assert tally.numbers == list(range(6))
    assert served.replicas[1].engine.output_tokens == 5 * 50


def test_answers_cut_in_the_middle_are_tried_again_unless_streamed() -> None:
    tally = Tally()
    retries = Retries(streamed=False)
    fleet(tally, [replica(), replica()], Fail(0.25, 0), retries=retries).serve(every(0.01, 6))

    assert not tally.losses
    assert len(tally.answers) == 6


def test_without_retries_all_of_a_dead_replica_is_lost() -> None:
    tally = Tally()
    setups = [replica(max_num_seqs=1), replica(max_num_seqs=1)]
    fleet(tally, setups, Fail(0.25, 0), retries=Retries(attempts=1)).serve(every(0.01, 6))

    assert [request.number for request, _, _ in tally.losses] == [0, 2, 4]


def test_a_retried_request_has_waited_since_it_was_first_sent() -> None:
    tally = Tally()
    setups = [replica(max_num_seqs=1), replica(max_num_seqs=8)]
    fleet(tally, setups, Fail(0.25, 0)).serve([Request(n, 0.0, 10, 50) for n in range(3)])

    # A pause of 250 ms, give or take a fifth, and then 50 steps.
    waited_s = next(served for served in tally.answers if served.request.number == 2)
    assert waited_s.finished_s == pytest.approx(0.25 + 0.25 + 0.5, abs=0.065)
    assert waited_s.request.arrival_s == 0.0


def test_a_dead_replica_gets_no_more_requests_after_ten_failures() -> None:
    tally = Tally()
    retries = Retries(attempts=1, failures_until_out=10)
    served = fleet(tally, [replica(), replica()], Fail(1.0, 0, restarts=False), retries=retries)
    served.serve(every(0.2, 100))

    # The one it was answering, and then every other one that is sent.
    reasons = Counter(reason for _, _, reason in tally.losses)
    assert reasons == {"its replica died while answering": 1, "its replica was down": 9}
    assert len(tally.answers) == 90


def test_an_idle_dead_replica_is_noticed_by_health_checks() -> None:
    tally = Tally()
    retries = Retries(attempts=1, failures_until_out=1000, noticed_after_s=14.0)
    fleet(tally, [replica(), replica()], Fail(0.5, 0, restarts=False), retries=retries).serve(every(1, 40))

    lost = [request.number for request, _, _ in tally.losses]
    # Every other request meets the dead one, until it is out at 14.5 s.
    assert lost == [2, 4, 6, 8, 10, 12, 14]


def test_a_failed_replica_starts_again_by_itself() -> None:
    tally = Tally()
    served = fleet(tally, [replica(start_up_s=30.0)], Fail(10.0, 0))
    served.serve(every(1, 60))

    answered = {answer.request.number for answer in tally.answers}
    # Nobody else can serve: requests sent from 10 s until about a second before 40 s give up after four attempts.
    assert answered == {*range(10), *range(39, 60)}
    assert served.replicas[0].stage is Stage.READY


def test_least_loaded_takes_a_dead_replica_for_an_idle_one_until_it_is_out() -> None:
    tally = Tally()
    retries = Retries(attempts=1, failures_until_out=10)
    setups = [replica(), replica()]
    changes = Fail(1.0, 0, restarts=False)
    fleet(tally, setups, changes, policy=LeastLoaded(), retries=retries).serve(every(0.05, 100))

    reasons = Counter(reason for _, _, reason in tally.losses)
    # The ten failures are those it had when it died, and then one after another of the newcomers.
    assert reasons["its replica was down"] + reasons["its replica died while answering"] == 10


def test_ticks_see_the_fleet_and_set_its_size() -> None:
    looks: list[tuple[float, tuple[Stage, ...]]] = []

    def decide(now_s: float, views: Sequence[ReplicaView]) -> int | None:
        looks.append((now_s, tuple(view.stage for view in views)))
        return 2 if now_s == 10 else 1 if now_s == 40 else None

    served = fleet(Tally(), [replica(start_up_s=15.0)], ticks=Ticks(10.0, decide))
    served.serve(every(1, 56))

    one, two = (Stage.READY,), (Stage.READY, Stage.READY)
    starting = (Stage.READY, Stage.STARTING)
    assert looks == [(10, one), (20, starting), (30, two), (40, two), (50, one)]
    assert served.replicas[1].stopped_s >= 40.0


def test_what_a_tick_sees_is_as_of_now() -> None:
    views: list[ReplicaView] = []

    def decide(now_s: float, seen: Sequence[ReplicaView]) -> None:
        views.extend(seen)

    setup = ReplicaSetup(
        limits=Limits(max_num_seqs=1, max_num_batched_tokens=2048, kv_blocks=100), step_time=Affine(base_s=0.01)
    )
    fleet(Tally(), [setup], ticks=Ticks(0.255, decide)).serve([Request(n, 0.0, 160, 50) for n in range(3)])

    first = views[0]
    assert (first.in_flight, first.running, first.waiting) == (3, 1, 2)
    assert 0.1 <= first.kv_use <= 0.13


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_seed_gives_the_same_run(policy: str) -> None:
    def run() -> Tally:
        tally = Tally()
        chosen = policy_of(policy, np.random.default_rng(1))
        changes = (Scale(5.0, 4), Fail(10.0, 1), Drain(15.0, 0), Scale(20.0, 2))
        fleet(tally, [replica(start_up_s=2.0)] * 3, *changes, policy=chosen).serve(poisson(15, 400))
        return tally

    assert run() == run()


@pytest.mark.parametrize("users", [0, 12])
def test_leaps_and_single_steps_come_to_the_same(users: int) -> None:
    def run(*, leap: bool) -> Tally:
        tally = Tally()
        step_time = Affine(base_s=0.01, per_chunk_token_s=1e-5, per_decode_s=1e-4, per_kv_token_s=1e-6)
        setups = [ReplicaSetup(limits=LIMITS, step_time=step_time, start_up_s=2.0)] * 3
        changes = (Fail(6.0, 1), Drain(9.0, 0), Scale(12.0, 4))
        served = fleet(tally, setups, *changes, policy=LeastLoaded(), leap=leap)
        if users:
            served.serve_users(iter(poisson(12, 300)), users, lambda: 0.1)
        else:
            served.serve(poisson(12, 300))
        return tally

    leaping, stepping = run(leap=True), run(leap=False)
    assert leaping.numbers == stepping.numbers
    assert leaping.ttfts_s() == pytest.approx(stepping.ttfts_s(), rel=1e-9)
    assert leaping.latencies_s() == pytest.approx(stepping.latencies_s(), rel=1e-9)
    assert [loss[0].number for loss in leaping.losses] == [loss[0].number for loss in stepping.losses]


@st.composite
def changes_of_a_fleet(draw: st.DrawFn) -> list[Change]:
    at_s = st.floats(0, 30)
    some = st.one_of(
        st.builds(Scale, at_s, st.integers(0, 5)),
        st.builds(Drain, at_s, st.integers(0, 1)),
        st.builds(Fail, at_s, st.integers(0, 1), st.booleans()),
    )
    return draw(st.lists(some, max_size=6))


@settings(max_examples=40, deadline=None)
@given(
    changes=changes_of_a_fleet(),
    policy=st.sampled_from(POLICIES),
    attempts=st.integers(1, 4),
    streamed=st.booleans(),
    users=st.integers(0, 20),
)
def test_every_request_is_served_or_rejected_or_lost_exactly_once(
    changes: list[Change], policy: str, attempts: int, streamed: bool, users: int
) -> None:
    tally = Tally()
    retries = Retries(attempts=attempts, streamed=streamed)
    chosen = policy_of(policy, np.random.default_rng(1))
    served = fleet(tally, [replica(start_up_s=3.0)] * 2, *changes, policy=chosen, retries=retries)
    requests = poisson(10, 150)
    if users:
        served.serve_users(iter(requests), users, lambda: 0.5)
    else:
        served.serve(requests)

    assert tally.numbers == list(range(150))
    assert not any(one.in_flight for one in served.replicas)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "measured"),
    [
        ("cache_aware", 0.7),
        ("power_of_two", 1.5),
        ("round_robin", 2.8),
        ("sticky_least_loaded", 3.0),
        ("random", 3.4),
        ("consistent_hash", 3.4),
    ],
)
def test_policies_spread_load_as_the_real_router_was_seen_to(policy: str, measured: float) -> None:
    """docs/gateway.md, Policies: three workers, 12 clients, one request in five 20 times longer."""
    rng = np.random.default_rng(1)
    outputs = np.where(rng.random(2000) < 0.2, 400, 20).tolist()
    differences: list[int] = []

    def look(now_s: float, views: Sequence[ReplicaView]) -> None:
        loads = [view.in_flight for view in views]
        differences.append(max(loads) - min(loads))

    served = fleet(
        Tally(), [replica(max_num_seqs=100)] * 3, policy=policy_of(policy, rng), ticks=Ticks(0.173, look)
    )
    served.serve_users(
        iter([Request(index, 0.0, 1, tokens) for index, tokens in enumerate(outputs)]), 12, lambda: 0.0
    )

    # The real one knew of an answer a moment later, which shows where the difference is least.
    assert np.mean(differences) == pytest.approx(measured, abs=0.75 if policy == "cache_aware" else 0.5)


@pytest.mark.parametrize(("attempts", "measured"), [(1, 11), (2, 3), (3, 0), (5, 0)])
def test_a_killed_replica_costs_as_many_requests_as_it_was_seen_to(attempts: int, measured: int) -> None:
    """docs/gateway.md, A killed replica: two replicas, 8 clients, plain requests of 50 ms, pauses as there."""
    tally = Tally()
    retries = Retries(attempts=attempts, streamed=False, first_pause_s=0.05, failures_until_out=10)
    served = fleet(tally, [replica(0.05), replica(0.05)], Fail(2.02, 0, restarts=False), retries=retries)
    served.serve_users(iter(every(0, 900, output_tokens=1)), 8, lambda: 0.0, ramp_s=0.05)

    assert len(tally.losses) == pytest.approx(measured, abs=1)
