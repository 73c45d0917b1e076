"""Leaping gives what going step by step gives, and both what a scheduler gives that keeps nothing in sums."""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enova.core.simulate.engine import Engine
from enova.core.simulate.leap import Leap
from enova.core.simulate.limits import KvPages, Limits
from enova.core.workload.request import Request
from tests.core.simulate.heard import Heard, serve
from tests.core.simulate.plain_engine import PlainEngine
from tests.core.simulate.step_times import Affine

PREFIXES = (7, 33, 60)
EXACT = 1e-9


class Case(NamedTuple):
    limits: Limits
    step_time: Affine
    requests: list[Request]


@st.composite
def cases(draw: st.DrawFn, *, plain: bool = False) -> Case:
    """Draw a small engine, short of everything at times, and a load; `plain`: such as `PlainEngine` can do."""
    caching = draw(st.booleans())
    blocks_alone = plain and caching
    pages = KvPages(
        block_size=draw(st.sampled_from([4, 8, 16])),
        full_groups=1 if blocks_alone else draw(st.sampled_from([1, 2])),
        window_groups=0 if blocks_alone else draw(st.sampled_from([0, 0, 1, 2])),
        window_blocks=draw(st.integers(1, 5)),
        per_sequence=0 if blocks_alone else draw(st.sampled_from([0, 0, 1])),
    )
    limits = Limits(
        max_num_seqs=draw(st.integers(1, 12)),
        max_num_batched_tokens=draw(st.sampled_from([3, 8, 20, 50, 200])),
        kv_blocks=draw(st.integers(10, 80)),
        pages=pages,
        # Prompts computed side by side are where blocks of a prefix that nobody finds differ.
        long_prefill_token_threshold=0 if blocks_alone else draw(st.sampled_from([0, 0, 5, 17])),
        prefix_caching=caching,
        chunked_prefill=draw(st.sampled_from([True, True, True, False])),
        reserve_full_prompt=draw(st.sampled_from([True, True, False])),
        watermark_blocks=draw(st.sampled_from([0, 0, 2])),
        decide_ahead=draw(st.booleans()),
        tokens_per_step=1.0 if plain else draw(st.sampled_from([1.0, 1.0, 1.7, 2.5])),
    )
    step_time = Affine(
        base_s=0.01,
        per_chunk_token_s=1e-4,
        per_context_token_s=1e-6,
        per_decode_s=1e-4,
        per_kv_token_s=draw(st.sampled_from([0.0, 1e-5])),
        per_window_token_s=draw(st.sampled_from([0.0, 1e-5])),
        window_tokens=draw(st.one_of(st.none(), st.integers(3, 40))),
        knot_tokens=draw(st.sampled_from([inf, 37.3])),
        knot_share=0.2,
    )
    # Numbers that a generator draws, lest an arrival falls on the very end of a step, which rounding may move.
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    pace_s = draw(st.sampled_from([0.005, 0.05, 0.3]))
    return Case(limits, step_time, [*_load(rng, draw(st.integers(1, 30)), pace_s, plain=plain)])


def _load(rng: np.random.Generator, number: int, pace_s: float, *, plain: bool) -> list[Request]:
    requests = []
    arrival_s = 0.0
    for index in range(number):
        arrival_s += rng.exponential(pace_s)
        prompt, output, prefix = int(rng.integers(1, 80)), int(rng.integers(1, 60)), int(rng.integers(-1, 3))
        shared = min(prompt - plain, PREFIXES[prefix]) if prefix >= 0 else 0
        requests.append(Request(index, arrival_s, prompt, output, prefix=prefix, prefix_tokens=shared))
    return requests


def agree(case: Case) -> None:
    leaping, by_leaps = serve(*case)
    stepping, by_steps = serve(*case, leap=False)
    assert stepping.leaps == 0
    assert by_leaps.refusals == by_steps.refusals
    for ours, theirs in zip(by_leaps.answers, by_steps.answers, strict=True):
        assert (ours.request, ours.preemptions, ours.cached_tokens) == (
            theirs.request,
            theirs.preemptions,
            theirs.cached_tokens,
        )
        assert ours[1:4] == pytest.approx(theirs[1:4], rel=EXACT)
    assert by_leaps.gaps == by_steps.gaps
    assert by_leaps.gaps_s == pytest.approx(by_steps.gaps_s, rel=EXACT)
    for total in ("steps", "preemptions", "prompt_tokens", "output_tokens"):
        assert getattr(leaping, total) == getattr(stepping, total)
    assert leaping.busy_s == pytest.approx(stepping.busy_s, rel=EXACT)
    assert leaping.output_tokens == sum(served.request.output_tokens for served in by_leaps.answers)
    assert (leaping.running, leaping.waiting, leaping.kv_used_blocks) == (0, 0, 0)


def agree_with_plain(case: Case) -> None:
    engine, heard = serve(*case)
    refused = {number for number, _ in heard.refusals}
    plain = PlainEngine(
        case.limits, case.step_time, [request for request in case.requests if request.number not in refused]
    )
    assert len(heard.answers) == len(plain.outcomes)
    for outcome in plain.outcomes:
        served = heard.of(outcome.number)
        assert (served.preemptions, served.cached_tokens) == (outcome.preemptions, outcome.cached_tokens)
        times_s = (outcome.scheduled_s, outcome.token_s[0], outcome.token_s[-1])
        assert served[1:4] == pytest.approx(times_s, rel=EXACT)
    spans_s = [outcome.token_s[-1] - outcome.token_s[0] for outcome in plain.outcomes]
    assert heard.gaps_s == pytest.approx(sum(spans_s), rel=EXACT)
    assert heard.gaps == sum(len(outcome.token_s) - 1 for outcome in plain.outcomes)
    assert engine.steps == plain.steps


few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@few
@given(cases())
def test_leaping_agrees_with_stepping(case: Case) -> None:
    agree(case)


@few
@given(cases(plain=True))
def test_leaping_agrees_with_a_scheduler_that_keeps_every_block(case: Case) -> None:
    agree_with_plain(case)


@pytest.mark.slow
@many
@given(cases())
def test_leaping_agrees_with_stepping_in_many_cases(case: Case) -> None:
    agree(case)


@pytest.mark.slow
@many
@given(cases(plain=True))
def test_leaping_agrees_with_a_scheduler_that_keeps_every_block_in_many_cases(case: Case) -> None:
    agree_with_plain(case)


@few
@given(cases(), st.integers(0, 1 << 32))
def test_looking_in_between_changes_nothing_and_sees_the_same(case: Case, seed: int) -> None:
    moments_s = np.sort(np.random.default_rng(seed).uniform(0, 3, 20)).tolist()
    engines = [Engine(case.limits, case.step_time, Heard(), leap=leap) for leap in (True, False)]
    undisturbed, _ = serve(*case)
    coming = list(case.requests)
    for moment_s in moments_s:
        while coming and coming[0].arrival_s <= moment_s:
            request = coming.pop(0)
            for engine in engines:
                engine.advance(request.arrival_s)
                engine.submit(request, request.arrival_s)
        looks = []
        for engine in engines:
            engine.advance(moment_s)
            engine.settle()
            state = (engine.running, engine.waiting, engine.kv_used_blocks, engine.steps, engine.output_tokens)
            tokens = [_tokens_of(engine, request.number) for request in case.requests]
            looks.append((state, tokens))
        assert looks[0] == looks[1]
    for request in coming:
        engines[0].submit(request, request.arrival_s)
    engines[0].advance(inf)
    assert engines[0].steps == undisturbed.steps
    assert engines[0].busy_s == pytest.approx(undisturbed.busy_s, rel=EXACT)


def _tokens_of(engine: Engine, number: int) -> int | None:
    try:
        return engine.tokens_of(number)
    except KeyError:
        return None


@given(
    st.floats(1e-3, 10), st.floats(0, 1), st.integers(1, 10_000), st.floats(0, 1e6), st.floats(0, 1), st.booleans()
)
def test_a_leap_is_cut_at_the_first_boundary_not_before_a_moment(
    first_s: float, slope_s: float, steps: int, start_s: float, share: float, then: bool
) -> None:
    leap = Leap()
    leap.begin(start_s, first_s, slope_s, steps)
    moment_s = start_s + share * (leap.end_s - start_s)
    end_s = leap.end_s
    leap.cut(moment_s, then=then)
    boundary = leap.steps - then
    if leap.end_s < end_s:
        assert leap.after(boundary) >= moment_s
    assert boundary <= 1 or leap.after(boundary - 1) < moment_s
    assert leap.end_s == leap.after(leap.steps)


def test_the_cost_of_a_long_answer_does_not_grow_with_its_tokens() -> None:
    limits = Limits(max_num_seqs=8, max_num_batched_tokens=100, kv_blocks=1 << 30)
    engine, heard = serve(limits, Affine(base_s=0.01, per_kv_token_s=1e-9), [Request(0, 0.0, 10, 1_000_000)])
    assert (engine.steps, engine.leaps, len(heard.ramps)) == (1_000_000, 1, 1)
