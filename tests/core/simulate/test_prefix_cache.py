"""What is found in the cache of an engine, and what is not any more."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from enova.core.simulate.engine import Engine
from tests.core.simulate.heard import LIMITS, SECOND, Heard, ask, serve

PREFIXED = replace(LIMITS, kv_blocks=12)


def test_a_shared_prefix_is_found_in_whole_blocks() -> None:
    engine, heard = serve(PREFIXED, SECOND, [ask(n, 9 * n, 12, 2, prefix=3, shared=10) for n in range(2)])
    assert [heard.of(number).cached_tokens for number in range(2)] == [0, 8]
    assert engine.prompt_tokens == 12 + 4


def test_the_last_token_of_a_prompt_is_always_computed() -> None:
    _, heard = serve(PREFIXED, SECOND, [ask(n, 9 * n, 8, 2, prefix=3, shared=8) for n in range(2)])
    assert heard.of(1).cached_tokens == 4


def test_a_prefix_is_found_by_those_who_come_in_the_same_step_and_its_blocks_are_held_once() -> None:
    heard = Heard()
    engine = Engine(PREFIXED, SECOND, heard)
    for number in range(4):
        engine.submit(ask(number, 0, 18, 2, prefix=0, shared=16), 0)
    engine.advance(0.5)
    # Four blocks together, and one for each.
    assert (engine.running, engine.kv_used_blocks) == (4, 8)
    engine.advance(inf)
    assert [heard.of(number).cached_tokens for number in range(4)] == [0, 16, 16, 16]
    assert engine.kv_used_blocks == 0


def test_a_prefix_is_lost_from_its_end_when_its_blocks_are_handed_out() -> None:
    requests = [ask(0, 0, 20, 1, prefix=0, shared=16), ask(1, 5, 36, 1), ask(2, 9, 20, 1, prefix=0, shared=16)]
    _, heard = serve(PREFIXED, SECOND, requests)
    # The first leaves its prefix in 4 of 12 blocks; the second takes all others, and one of these.
    assert heard.of(2).cached_tokens == 12


def test_without_prefix_caching_nothing_is_found() -> None:
    limits = replace(PREFIXED, prefix_caching=False)
    _, heard = serve(limits, SECOND, [ask(n, 9 * n, 12, 2, prefix=3, shared=10) for n in range(2)])
    assert heard.of(1).cached_tokens == 0


def test_a_preempted_request_finds_what_it_left_while_nobody_took_it() -> None:
    limits = replace(LIMITS, kv_blocks=5)
    engine, heard = serve(limits, SECOND, [ask(0, 0, 7, 3), ask(1, 0, 8, 4)])
    # At 2 it had 9 tokens in three blocks, of which two were full; the first took one that was free, or not full.
    assert heard.of(1).preemptions == 1
    assert engine.prompt_tokens == 7 + 8 + 2
    assert heard.of(1).cached_tokens == 0


def test_a_prefix_too_short_for_a_block_is_never_found_and_confuses_nobody() -> None:
    requests = [
        ask(0, 0, 6, 3, prefix=0, shared=2),
        ask(1, 0, 20, 1),
        ask(2, 0, 9, 1, prefix=1, shared=8),
        ask(3, 5, 9, 1, prefix=1, shared=8),
        ask(4, 7, 6, 1, prefix=0, shared=2),
    ]
    engine, heard = serve(PREFIXED, SECOND, requests)
    assert [heard.of(number).cached_tokens for number in range(5)] == [0, 0, 0, 8, 0]
    assert (engine.prompt_tokens, engine.kv_used_blocks) == (6 + 20 + 9 + 1 + 6, 0)
