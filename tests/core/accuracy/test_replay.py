"""A replayed benchmark reports what its client would have reported."""

from __future__ import annotations

import pytest

from enova.core.accuracy.benchmark import Benchmark, random_lengths
from enova.core.accuracy.replay import NeverServed, replay
from enova.core.engine.step_time import Frontend
from enova.core.simulate.limits import Limits
from tests.core.accuracy.stand_in import Steps

LIMITS = Limits(max_num_seqs=8, max_num_batched_tokens=1000, kv_blocks=1000, prefix_caching=False)


def test_one_user_waits_for_the_prompt_and_then_for_each_token() -> None:
    load = Benchmark(users=1, prompt_tokens=(100, 300), output_tokens=(11, 11))

    means = replay(load, Steps(0.01, 0.001), LIMITS)

    assert means.ttft_s == pytest.approx(((0.01 + 0.1) + (0.01 + 0.3)) / 2)
    assert means.tpot_s == pytest.approx(0.01)


def test_tpot_is_the_mean_over_requests_not_over_tokens() -> None:
    # The second user's prompt of 1000 tokens delays one gap of the first user, who has two gaps.
    load = Benchmark(users=2, prompt_tokens=(500, 1000), output_tokens=(3, 101))

    means = replay(load, Steps(0.01, 0.001), LIMITS)

    first_s = (0.01 + 0.5 + 0.01) / 2
    assert means.tpot_s == pytest.approx((first_s + 0.01) / 2, rel=1e-6)


def test_no_more_users_than_there_are_get_an_answer_at_a_time() -> None:
    load = Benchmark(users=2, prompt_tokens=(10,) * 6, output_tokens=(101,) * 6)

    means = replay(load, Steps(0.01), LIMITS)

    assert means.ttft_s == pytest.approx(0.01)


def test_uncounted_requests_are_sent_but_not_in_the_means() -> None:
    lengths = {"prompt_tokens": (900, 100, 100), "output_tokens": (5, 5, 5)}

    counted = replay(Benchmark(users=1, uncounted=1, **lengths), Steps(0.01, 0.001), LIMITS)

    assert counted.ttft_s == pytest.approx(0.11)


def test_time_in_the_frontend_is_part_of_the_first_token_but_not_of_the_gaps() -> None:
    load = Benchmark(users=1, prompt_tokens=(100,), output_tokens=(11,))

    means = replay(load, Steps(0.01), LIMITS, Frontend(0.5, 0.001, 0.25))

    assert means.ttft_s == pytest.approx(0.01 + 0.5 + 0.1 + 0.25)
    assert means.tpot_s == pytest.approx(0.01)


def test_requests_of_a_single_token_have_no_gap() -> None:
    assert replay(Benchmark(users=1, prompt_tokens=(9,), output_tokens=(1,)), Steps(0.01), LIMITS).tpot_s == 0.0


def test_a_request_that_never_fits_is_an_error_not_a_lower_mean() -> None:
    load = Benchmark(users=1, prompt_tokens=(17_000,), output_tokens=(5,))

    with pytest.raises(NeverServed, match="17000"):
        replay(load, Steps(0.01), LIMITS)


def test_leaping_and_stepping_report_the_same() -> None:
    prompts, outputs = random_lengths(400, 300, 40, range_ratio=0.5)
    load = Benchmark(users=12, prompt_tokens=prompts, output_tokens=outputs)

    leapt = replay(load, Steps(0.01, 0.0001), LIMITS)

    assert replay(load, Steps(0.01, 0.0001), LIMITS, leap=False) == pytest.approx(leapt, rel=1e-9)
