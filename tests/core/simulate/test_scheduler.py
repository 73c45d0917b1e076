"""Who takes part in which step, one rule after the other."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from enova.core.simulate.engine import Engine, Served
from enova.core.simulate.limits import KvPages, Limits
from tests.core.simulate.heard import LIMITS, SECOND, Heard, ask, serve


def test_a_prompt_longer_than_the_budget_takes_several_steps() -> None:
    _, heard = serve(replace(LIMITS, max_num_batched_tokens=4), SECOND, [ask(0, 0, 10, 2)])
    assert (heard.of(0).first_token_s, heard.of(0).finished_s) == (3, 4)


def test_decodes_take_their_tokens_of_the_budget_before_a_prompt_does() -> None:
    limits = replace(LIMITS, max_num_batched_tokens=4)
    _, heard = serve(limits, SECOND, [ask(0, 0, 2, 10), ask(1, 0.5, 6, 1)])
    # One token for the first and three for the second, twice.
    assert heard.of(1).first_token_s == 3
    assert heard.of(0).finished_s == 10


def test_prompts_are_packed_into_a_step_until_the_budget_is_used_up() -> None:
    limits = replace(LIMITS, max_num_batched_tokens=8)
    _, heard = serve(limits, SECOND, [ask(number, 0, 3, 1) for number in range(3)])
    assert [heard.of(number).first_token_s for number in range(3)] == [1, 1, 2]


def test_a_request_that_arrives_during_a_step_is_in_the_next() -> None:
    _, heard = serve(LIMITS, SECOND, [ask(0, 0, 4, 10), ask(1, 2.5, 4, 2)])
    assert (heard.of(1).scheduled_s, heard.of(1).first_token_s, heard.of(1).finished_s) == (3, 4, 5)


def test_a_request_that_arrives_as_a_step_ends_is_in_the_next() -> None:
    _, heard = serve(LIMITS, SECOND, [ask(0, 0, 4, 10), ask(1, 3, 4, 2)])
    assert heard.of(1).scheduled_s == 3


def test_nobody_has_a_seat_beyond_the_limit() -> None:
    limits = replace(LIMITS, max_num_seqs=2)
    _, heard = serve(limits, SECOND, [ask(0, 0, 4, 5), ask(1, 0, 4, 3), ask(2, 0.5, 4, 1)])
    assert heard.of(2).scheduled_s == 3


def test_who_cannot_be_let_in_keeps_all_others_waiting() -> None:
    limits = replace(LIMITS, kv_blocks=10)
    requests = [ask(0, 0, 20, 4), ask(1, 0.25, 24, 1), ask(2, 0.5, 4, 1)]
    _, heard = serve(limits, SECOND, requests)
    assert [heard.of(number).scheduled_s for number in (1, 2)] == [4, 4]


def test_a_whole_prompt_must_fit_before_its_first_part_is_computed() -> None:
    limits = replace(LIMITS, kv_blocks=10, max_num_batched_tokens=8)
    requests = [ask(0, 0, 24, 4), ask(1, 0.5, 20, 1)]
    _, reserving = serve(limits, SECOND, requests)
    _, careless = serve(replace(limits, reserve_full_prompt=False), SECOND, requests)
    assert reserving.of(1).scheduled_s == 6
    assert careless.of(1).scheduled_s == 3


def test_the_watermark_is_kept_free_unless_nothing_runs() -> None:
    limits = replace(LIMITS, kv_blocks=10, watermark_blocks=4)
    _, heard = serve(limits, SECOND, [ask(0, 0, 28, 2), ask(1, 0.5, 4, 1)])
    assert (heard.of(0).scheduled_s, heard.of(1).scheduled_s) == (0, 2)


def test_without_chunked_prefill_a_prompt_waits_until_it_fits_into_a_step() -> None:
    limits = replace(LIMITS, max_num_batched_tokens=10, chunked_prefill=False)
    _, heard = serve(limits, SECOND, [ask(0, 0, 6, 1), ask(1, 0, 6, 1)])
    assert [heard.of(number).first_token_s for number in range(2)] == [1, 2]


def test_a_threshold_for_long_prompts_lets_short_ones_overtake() -> None:
    limits = replace(LIMITS, max_num_batched_tokens=10, long_prefill_token_threshold=6)
    _, heard = serve(limits, SECOND, [ask(0, 0, 20, 1), ask(1, 0, 4, 1)])
    assert (heard.of(0).first_token_s, heard.of(1).first_token_s) == (4, 1)


def test_a_decode_behind_a_long_prompt_that_uses_up_the_budget_waits_and_has_one_long_gap() -> None:
    limits = replace(LIMITS, max_num_batched_tokens=6, long_prefill_token_threshold=5, tokens_per_step=2.0)
    engine, heard = serve(limits, SECOND, [ask(0, 0, 15, 1), ask(1, 0, 1, 3)])
    # Beside 5 tokens of the first a prompt of one has room, but not a decode, which verifies two.
    assert [heard.of(number).finished_s for number in range(2)] == [3, 4]
    assert (heard.ramps, engine.steps) == ([(1, 1, 3, 3)], 4)


def test_decodes_that_are_more_than_the_budget_go_in_order_of_admission() -> None:
    limits = replace(LIMITS, max_num_batched_tokens=2, tokens_per_step=2.0)
    _, heard = serve(limits, SECOND, [ask(0, 0, 1, 5), ask(1, 0, 1, 5)])
    assert [heard.of(number).finished_s for number in range(2)] == [3, 5]
    assert sorted(heard.ramps) == [(1, 1, 1, 1)] * 3 + [(1, 1, 3, 3)]


def test_who_came_last_loses_its_blocks_and_computes_all_again() -> None:
    limits = replace(LIMITS, kv_blocks=5, prefix_caching=False)
    engine, heard = serve(limits, SECOND, [ask(0, 0, 7, 6), ask(1, 0, 8, 4)])
    # First both prompts, in 4 blocks. Then the second needs a third block and gets the last. When the first needs
    # one too, the second goes, with 2 tokens, and its 10 tokens fit again when the first is done.
    assert heard.of(0) == Served(ask(0, 0, 7, 6), 0, 1, 6, 0, 0)
    assert heard.of(1) == Served(ask(1, 0, 8, 4), 0, 1, 8, 1, 0)
    assert (engine.preemptions, engine.prompt_tokens, engine.output_tokens) == (1, 7 + 8 + 10, 10)
    assert (1, 1, 5, 5) in heard.ramps


def test_nobody_is_let_in_by_a_step_that_took_a_place_away() -> None:
    limits = replace(
        LIMITS, max_num_batched_tokens=8, kv_blocks=6, reserve_full_prompt=False, prefix_caching=False
    )
    engine, heard = serve(limits, SECOND, [ask(0, 0, 8, 4), ask(1, 0.5, 20, 1)])
    # The second computes 7 tokens from 1 on, goes at 2 for want of a fourth block, and though 7 tokens would fit
    # at once, begins again at 3: 7 tokens, then 8, then 5.
    assert (engine.preemptions, engine.prompt_tokens) == (1, 8 + 7 + 7 + 8 + 5)
    assert heard.of(1).finished_s == 6


def test_who_needs_a_block_itself_and_came_last_goes_itself() -> None:
    limits = replace(LIMITS, kv_blocks=5, prefix_caching=False)
    _, heard = serve(limits, SECOND, [ask(0, 0, 9, 3), ask(1, 0, 8, 2)])
    assert (heard.of(0).preemptions, heard.of(1).preemptions) == (0, 1)
    assert (heard.of(0).finished_s, heard.of(1).finished_s) == (3, 4)


def test_a_window_group_holds_no_more_than_its_window() -> None:
    pages = KvPages(block_size=4, full_groups=1, window_groups=2, window_blocks=2, per_sequence=1)
    heard = Heard()
    engine = Engine(replace(LIMITS, pages=pages), SECOND, heard)
    engine.submit(ask(0, 0, 6, 20), 0)
    used = []
    for moment_s in (0.5, 1.5, 2.5, 3.5, 7.5, 15.5):
        engine.advance(moment_s)
        used.append(engine.kv_used_blocks)
    # 6, 7, 8, 9, 13 and 21 tokens.
    assert used == [7, 7, 7, 8, 9, 11]
    engine.advance(inf)
    assert engine.kv_used_blocks == 0


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (replace(LIMITS, max_model_len=39), "longer than the longest sequence, 39 tokens"),
        (replace(LIMITS, kv_blocks=9), "larger than the whole KV cache, 9 blocks"),
        (
            replace(LIMITS, max_num_batched_tokens=39, chunked_prefill=False),
            "longer than a step, 39 tokens, and prompts are not cut",
        ),
    ],
)
def test_what_can_never_run_is_rejected_and_delays_nobody(limits: Limits, reason: str) -> None:
    _, heard = serve(limits, SECOND, [ask(0, 0, 30, 10), ask(1, 0, 4, 1)])
    assert heard.refusals == [(0, reason)]
    assert heard.of(1).finished_s == 1


def test_what_just_fits_runs() -> None:
    _, heard = serve(replace(LIMITS, max_model_len=40, kv_blocks=10), SECOND, [ask(0, 0, 30, 10)])
    # The last of its 40 tokens is not cached, so that 41 would fit too.
    assert heard.of(0).finished_s == 10


AHEAD = replace(LIMITS, decide_ahead=True)


def test_deciding_ahead_lets_an_arrival_in_one_step_later() -> None:
    _, heard = serve(AHEAD, SECOND, [ask(0, 0, 4, 10), ask(1, 2.5, 4, 2)])
    assert (heard.of(1).scheduled_s, heard.of(1).finished_s) == (4, 6)


def test_deciding_ahead_an_idle_engine_starts_at_once() -> None:
    _, heard = serve(AHEAD, SECOND, [ask(0, 0, 4, 2), ask(1, 7.5, 4, 2)])
    assert (heard.of(1).scheduled_s, heard.of(1).finished_s) == (7.5, 9.5)


def test_deciding_ahead_an_arrival_during_the_last_step_starts_when_it_ends() -> None:
    _, heard = serve(AHEAD, SECOND, [ask(0, 0, 4, 3), ask(1, 2.5, 4, 2)])
    assert heard.of(1).scheduled_s == 3


def test_deciding_ahead_a_seat_is_free_one_step_after_it_was_left() -> None:
    limits = replace(AHEAD, max_num_seqs=2)
    _, heard = serve(limits, SECOND, [ask(0, 0, 4, 9), ask(1, 0, 4, 3), ask(2, 0.5, 4, 1)])
    # The second ends at 3, when the batch from 4 on is decided.
    assert heard.of(2).scheduled_s == 4


def test_deciding_ahead_blocks_are_free_one_step_after_they_were_left() -> None:
    limits = replace(AHEAD, kv_blocks=10)
    _, heard = serve(limits, SECOND, [ask(0, 0, 4, 9), ask(1, 0, 20, 3), ask(2, 0.5, 20, 1)])
    assert heard.of(2).scheduled_s == 4
