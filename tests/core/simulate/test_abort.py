"""Requests whose users leave free what they hold, at the same moment however the engine is advanced."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enova.core.engine.step_time import Frontend
from enova.core.simulate.engine import Engine
from enova.core.simulate.limits import KvPages, Limits
from enova.core.workload.request import Request
from tests.core.simulate.heard import Heard
from tests.core.simulate.step_times import Affine
from tests.core.simulate.test_leaping import EXACT, Case, cases

ONE_S = Affine(base_s=1.0)
SLOW = Frontend(before_s=1.0, before_s_per_prompt_token=0.0, after_s=0.0)


def engine(*, max_num_seqs: int = 1, kv_blocks: int = 100, ahead: bool = False) -> tuple[Engine, Heard]:
    limits = Limits(max_num_seqs=max_num_seqs, max_num_batched_tokens=64, kv_blocks=kv_blocks, decide_ahead=ahead)
    heard = Heard()
    return Engine(limits, ONE_S, heard), heard


def submit(one: Engine, number: int, at_s: float, *, output: int = 10, prompt: int = 10) -> None:
    one.advance(at_s)
    one.submit(Request(number, at_s, prompt, output), at_s)


def test_a_seat_is_free_when_the_step_in_flight_has_ended() -> None:
    one, heard = engine()
    submit(one, 0, 0.0, output=1000)
    submit(one, 1, 0.5, output=2)
    one.advance(3.5)

    one.abort(0)
    assert (one.running, one.waiting) == (1, 1)
    one.advance(inf)

    assert [served.request.number for served in heard.answers] == [1]
    assert (heard.of(1).scheduled_s, heard.of(1).finished_s) == (4.0, 6.0)
    assert (one.running, one.waiting, one.kv_used_blocks) == (0, 0, 0)


def test_deciding_ahead_it_is_free_one_step_later_as_that_of_one_who_is_done() -> None:
    one, heard = engine(ahead=True)
    submit(one, 0, 0.0, output=1000)
    submit(one, 1, 0.5, output=2)
    one.advance(3.5)

    one.abort(0)
    one.advance(inf)

    assert heard.of(1).scheduled_s == 4.0
    assert one.kv_used_blocks == 0


def test_blocks_are_free_for_whoever_waits_for_them() -> None:
    one, heard = engine(max_num_seqs=4, kv_blocks=4)
    submit(one, 0, 0.0, prompt=40, output=20)
    submit(one, 1, 0.5, prompt=40, output=2)
    one.advance(2.5)
    assert one.kv_used_blocks == 3

    one.abort(0)
    one.advance(inf)

    assert heard.of(1).scheduled_s == 3.0


def test_a_prompt_in_the_midst_of_being_computed_is_dropped() -> None:
    one, heard = engine(max_num_seqs=2)
    submit(one, 0, 0.0, prompt=200, output=5)
    one.advance(1.5)

    one.abort(0)
    one.advance(inf)

    assert (heard.answers, one.now_s, one.kv_used_blocks) == ([], 2.0, 0)


def test_of_a_prompt_that_was_dropped_nothing_more_is_computed_while_its_blocks_are_not_free_yet() -> None:
    limits = Limits(
        max_num_seqs=2,
        max_num_batched_tokens=40,
        kv_blocks=4,
        pages=KvPages(block_size=16),
        long_prefill_token_threshold=20,
        prefix_caching=False,
        reserve_full_prompt=False,
        decide_ahead=True,
    )
    heard = Heard()
    one = Engine(limits, ONE_S, heard)
    submit(one, 0, 0.0, prompt=30, output=5)
    submit(one, 1, 0.0, prompt=60, output=1)
    one.advance(0.5)

    # The rest of its prompt would fit in the blocks it has; the next part of the other's needs one more.
    one.abort(0)
    one.advance(inf)

    first_step, again = 20 + 20, 60
    assert one.prompt_tokens == first_step + again
    assert (heard.of(1).preemptions, heard.of(1).finished_s) == (1, 4.0)
    assert (one.steps, one.running, one.kv_used_blocks) == (4, 0, 0)


def test_who_waits_and_who_is_not_yet_seen_leave_at_once() -> None:
    one, heard = engine()
    submit(one, 0, 0.0, output=4)
    submit(one, 1, 0.5)
    submit(one, 2, 1.5)
    one.advance(1.7)

    one.abort(2)
    one.abort(1)

    assert one.waiting == 0
    one.advance(inf)
    assert [served.request.number for served in heard.answers] == [0]


def test_an_engine_that_has_done_nothing_yet_forgets_who_is_on_the_way() -> None:
    heard = Heard()
    one = Engine(Limits(max_num_seqs=1, max_num_batched_tokens=64, kv_blocks=10), ONE_S, heard, frontend=SLOW)
    one.submit(Request(0, 0.0, 10, 10), 0.0)

    one.abort(0)

    assert (one.next_s, heard.answers) == (inf, [])


def test_who_is_done_or_never_came_cannot_be_aborted() -> None:
    one, _ = engine(ahead=True)
    submit(one, 0, 0.0, output=1)
    submit(one, 1, 0.5, output=5)
    one.advance(1.0)

    for number in (0, 7):
        with pytest.raises(KeyError):
            one.abort(number)


def test_a_request_that_ends_with_the_step_is_not_served_once_it_is_aborted() -> None:
    one, heard = engine()
    submit(one, 0, 0.0, output=2)
    one.advance(1.5)

    one.abort(0)
    one.advance(inf)

    assert (heard.answers, one.running, one.kv_used_blocks) == ([], 0, 0)


def test_those_who_were_aborted_are_not_among_the_evicted() -> None:
    one, _ = engine(max_num_seqs=2)
    submit(one, 0, 0.0)
    submit(one, 1, 0.0)
    one.advance(0.5)

    one.abort(0)

    assert [request.number for request in one.evict()] == [1]


def test_the_tokens_of_all_with_a_seat_are_those_of_each() -> None:
    one, _ = engine(max_num_seqs=2)
    for number in range(3):
        submit(one, number, 0.25 * number)
    one.advance(5.5)

    assert one.tokens() == {number: one.tokens_of(number) for number in (0, 1)} == {0: 5, 1: 4}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.integers(0, 1 << 32))
def test_leaping_agrees_with_stepping_where_users_leave(case: Case, seed: int) -> None:
    agree_where_users_leave(case, seed)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.integers(0, 1 << 32))
def test_leaping_agrees_with_stepping_where_users_leave_in_many_cases(case: Case, seed: int) -> None:
    agree_where_users_leave(case, seed)


def agree_where_users_leave(case: Case, seed: int) -> None:
    rng = np.random.default_rng(seed)
    patience_s = rng.exponential(0.5, len(case.requests)).tolist()
    leaving, answers_by_leaps = serve_impatient(case, patience_s, leap=True)
    stepping, answers_by_steps = serve_impatient(case, patience_s, leap=False)
    for ours, theirs in zip(answers_by_leaps.answers, answers_by_steps.answers, strict=True):
        assert (ours.request, ours.preemptions, ours.cached_tokens) == (
            theirs.request,
            theirs.preemptions,
            theirs.cached_tokens,
        )
        assert ours[1:4] == pytest.approx(theirs[1:4], rel=EXACT)
    assert answers_by_leaps.gaps == answers_by_steps.gaps
    assert answers_by_leaps.gaps_s == pytest.approx(answers_by_steps.gaps_s, rel=EXACT)
    for total in ("steps", "preemptions", "prompt_tokens", "output_tokens"):
        assert getattr(leaving, total) == getattr(stepping, total)
    assert (leaving.running, leaving.waiting, leaving.kv_used_blocks) == (0, 0, 0)
    assert (stepping.running, stepping.waiting, stepping.kv_used_blocks) == (0, 0, 0)


def serve_impatient(case: Case, patience_s: list[float], *, leap: bool) -> tuple[Engine, Heard]:
    """Serve users who leave when they have waited for too long, whatever has become of their request by then."""
    heard = Heard()
    one = Engine(case.limits, case.step_time, heard, leap=leap)
    moments: list[tuple[float, int, Request | None]] = [
        (request.arrival_s, request.number, request) for request in case.requests
    ]
    moments += [
        (request.arrival_s + wait_s, request.number, None)
        for request, wait_s in zip(case.requests, patience_s, strict=True)
    ]
    for at_s, number, request in sorted(moments, key=lambda moment: moment[:2]):
        one.advance(at_s)
        if request is not None:
            one.submit(request, at_s)
        elif number not in {served.request.number for served in heard.answers} | {n for n, _ in heard.refusals}:
            one.abort(number)
    one.advance(inf)
    return one, heard
