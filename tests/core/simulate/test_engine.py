"""When things happen, and what can be seen meanwhile. Every step takes a second unless said otherwise."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from enova.core.engine.step_time import Frontend
from enova.core.simulate.engine import Engine, Served
from tests.core.simulate.heard import LIMITS, SECOND, Heard, ask, serve
from tests.core.simulate.step_times import Affine


def test_a_request_to_an_idle_engine_starts_at_once_and_gets_a_token_from_every_step() -> None:
    engine, heard = serve(LIMITS, SECOND, [ask(0, 0.5, 10, 3)])
    assert heard.answers == [Served(ask(0, 0.5, 10, 3), 0.5, 1.5, 3.5, 0, 0)]
    assert (engine.steps, engine.prompt_tokens, engine.output_tokens, engine.busy_s) == (3, 10, 3, 3.0)


def test_an_answer_of_one_token_ends_with_its_prompt() -> None:
    _, heard = serve(LIMITS, SECOND, [ask(0, 0, 10, 1)])
    assert (heard.of(0).first_token_s, heard.of(0).finished_s, heard.gaps) == (1, 1, 0)


def test_the_frontend_delays_a_request_and_its_tokens_but_nobody_else() -> None:
    frontend = Frontend(before_s=0.5, before_s_per_prompt_token=0.25, after_s=0.125)
    _, heard = serve(LIMITS, SECOND, [ask(0, 0, 4, 2), ask(1, 0, 1, 1)], frontend=frontend)
    assert heard.of(1) == Served(ask(1, 0, 1, 1), 0.75, 1.875, 1.875, 0, 0)
    assert heard.of(0) == Served(ask(0, 0, 4, 2), 1.75, 2.875, 3.875, 0, 0)


def test_speculation_gives_several_tokens_a_step_and_never_more_than_wanted() -> None:
    engine, heard = serve(replace(LIMITS, tokens_per_step=2.5), SECOND, [ask(0, 0, 4, 9)])
    # One token from the prompt, then 2, 3, 2, and of the last step's 3 only 1.
    assert (heard.of(0).finished_s, engine.steps, engine.output_tokens) == (5, 5, 9)


def test_gaps_between_tokens_grow_with_the_context() -> None:
    step_time = Affine(base_s=1.0, per_kv_token_s=0.125)
    _, heard = serve(LIMITS, step_time, [ask(0, 0, 4, 4)])
    # The steps look back at 5, 6 and 7 tokens.
    assert heard.ramps == [(1, 3, 1.625, 1.875)]
    assert heard.of(0).finished_s == 1.0 + 1.625 + 1.75 + 1.875


def test_steps_follow_a_line_that_bends_at_its_knots() -> None:
    step_time = Affine(base_s=1.0, per_kv_token_s=0.125, knot_tokens=6, knot_share=1.0)
    _, heard = serve(LIMITS, step_time, [ask(0, 0, 4, 5)])
    assert heard.ramps == [(1, 2, 1.625, 1.75), (1, 2, 2.0, 2.25)]


def test_what_looks_back_at_a_window_stops_growing_when_it_is_full() -> None:
    step_time = Affine(base_s=1.0, per_window_token_s=0.125, window_tokens=6)
    _, heard = serve(LIMITS, step_time, [ask(0, 0, 4, 5)])
    assert heard.gaps_s == 1.625 + 3 * 1.75
    assert heard.of(0).finished_s == 1.0 + heard.gaps_s


def test_the_batch_of_a_moment_waits_for_all_that_is_submitted_at_this_moment() -> None:
    heard = Heard()
    engine = Engine(LIMITS, SECOND, heard)
    for number in range(2):
        engine.submit(ask(number, 0, 4, 1), 0)
        engine.advance(0)
    assert (engine.running, engine.waiting) == (0, 2)
    engine.advance(1)
    assert [served.finished_s for served in heard.answers] == [1, 1]


def test_asking_what_is_next_settles_who_takes_part() -> None:
    heard = Heard()
    engine = Engine(LIMITS, SECOND, heard)
    engine.submit(ask(0, 0, 4, 3), 0)
    assert engine.next_s == 1
    engine.submit(ask(1, 0, 4, 1), 0)
    engine.advance(inf)
    assert heard.of(1).finished_s == 2


def test_an_idle_engine_has_no_next_moment_but_that_of_an_arrival() -> None:
    engine = Engine(LIMITS, SECOND, Heard(), frontend=Frontend(0.5, 0, 0))
    assert engine.next_s == inf
    engine.submit(ask(0, 0, 4, 1), 0)
    assert engine.next_s == 0.5
    engine.advance(engine.next_s)
    assert engine.next_s == 1.5
    engine.advance(engine.next_s)
    assert engine.next_s == inf


def test_a_leap_ends_early_for_a_later_arrival() -> None:
    engine = Engine(LIMITS, SECOND, Heard())
    engine.submit(ask(0, 0, 4, 100), 0)
    engine.advance(1.5)
    assert engine.next_s == 100
    engine.submit(ask(1, 10.5, 4, 1), 10.5)
    assert engine.next_s == 11


def test_what_is_submitted_too_late_comes_now() -> None:
    heard = Heard()
    engine = Engine(LIMITS, SECOND, heard)
    engine.submit(ask(0, 0, 4, 100), 0)
    engine.advance(7.5)
    engine.submit(ask(1, 2, 4, 1), 2)
    engine.advance(inf)
    assert heard.of(1).scheduled_s == 8


def test_a_leap_goes_on_when_an_arrival_cannot_be_let_in_anyway() -> None:
    engine = Engine(replace(LIMITS, max_num_seqs=1), SECOND, Heard())
    engine.submit(ask(0, 0, 4, 100), 0)
    engine.advance(1.5)
    engine.submit(ask(1, 10.5, 4, 1), 10.5)
    assert engine.next_s == 100


@pytest.mark.parametrize("leap", [True, False])
def test_the_state_is_that_of_now_in_the_middle_of_a_leap(leap: bool) -> None:
    engine = Engine(replace(LIMITS, max_num_seqs=1), SECOND, Heard(), leap=leap)
    engine.submit(ask(7, 0, 4, 100), 0)
    engine.submit(ask(8, 0, 4, 100), 0)
    engine.advance(1)
    engine.advance(20.25)
    assert (engine.now_s, engine.steps, engine.output_tokens) == (20.25, 20, 20)
    assert (engine.tokens_of(7), engine.tokens_of(8)) == (20, 0)
    assert (engine.running, engine.waiting, engine.busy_s) == (1, 1, 20.25)
    # The step in flight computes its 24th token.
    assert engine.kv_used_blocks == 6


def test_tokens_of_a_request_that_is_not_there_are_an_error() -> None:
    engine, _ = serve(LIMITS, SECOND, [ask(0, 0, 4, 1)])
    with pytest.raises(KeyError):
        engine.tokens_of(0)


def test_settling_tells_of_the_steps_that_have_ended_and_changes_nothing() -> None:
    step_time = Affine(base_s=1.0, per_kv_token_s=0.125)
    heard, undisturbed = Heard(), Heard()
    for listener in (heard, undisturbed):
        engine = Engine(LIMITS, step_time, listener)
        engine.submit(ask(0, 0, 4, 10), 0)
        for moment_s in (4.0, 7.0):
            engine.advance(moment_s)
            if listener is heard:
                engine.settle()
        assert listener.gaps == (3 if listener is heard else 0)
        engine.advance(inf)
    assert heard.answers == undisturbed.answers
    assert heard.gaps_s == undisturbed.gaps_s == sum(1 + 0.125 * context for context in range(5, 14))


def test_a_failure_gives_back_what_is_unfinished_in_order_and_leaves_the_engine_empty() -> None:
    heard = Heard()
    engine = Engine(replace(LIMITS, max_num_seqs=1), SECOND, heard, frontend=Frontend(0.0, 0.25, 0.0))
    requests = [ask(0, 0, 4, 9), ask(1, 1, 8, 9), ask(2, 1, 4, 9), ask(3, 5.75, 4, 9)]
    for request in requests:
        engine.submit(request, request.arrival_s)
    engine.advance(6)
    assert engine.evict() == [requests[0], requests[2], requests[1], requests[3]]
    assert (engine.running, engine.waiting, engine.kv_used_blocks, engine.next_s) == (0, 0, 0, inf)
    assert (heard.gaps, engine.output_tokens, engine.busy_s) == (4, 5, 5)
    engine.submit(ask(0, 7, 4, 1), 7)
    engine.advance(inf)
    assert [(served.request.number, served.finished_s) for served in heard.answers] == [(0, 9)]


def test_a_user_who_asks_again_on_an_answer_is_in_the_very_next_step() -> None:
    class User(Heard):
        def served(self, served: Served) -> None:
            super().served(served)
            if len(self.answers) < 3:
                engine.submit(ask(len(self.answers), served.finished_s, 4, 2), served.finished_s)

    user = User()
    engine = Engine(LIMITS, SECOND, user)
    engine.submit(ask(0, 0, 4, 2), 0)
    engine.advance(inf)
    assert [served.finished_s for served in user.answers] == [2, 4, 6]
