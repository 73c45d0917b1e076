"""Step times of engines nobody measured: how they must move when the engine or the batch changes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_card, model_card
from enova.core.engine.defaults import engine_setup
from enova.core.engine.kernels import elementwise_s, exchange_s
from enova.core.engine.roofline import Roofline, frontend_of, step_time_of
from enova.core.engine.setup import Speculation
from enova.core.engine.step_time import Chunk, Origin

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
OSS = "openai/gpt-oss-120b"


@cache
def steps(model: str = LLAMA, gpu: str = "h100-sxm", **engine: Any) -> Roofline:
    pieces = engine.pop("piecewise_graphs", True)
    setup = engine_setup(model_card(model), gpu_card(gpu), **engine)
    return step_time_of(replace(setup, piecewise_graphs=pieces), measured_curves())


def prompt_s(times: Roofline, tokens: int, context: int = 0) -> float:
    return times.step_s([Chunk(tokens, context, True)], 0, 0, 0)


def decode_s(times: Roofline, sequences: int, tokens_each: int = 1000) -> float:
    window = min(tokens_each, times.window_tokens or 0)
    return times.step_s([], sequences, sequences * tokens_each, sequences * window)


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(1, 10**6), st.integers(0, 10**5))
def test_a_step_without_prompts_is_on_its_line_to_the_last_bit(decodes: int, kv: int, window: int) -> None:
    for times in (steps(OSS), steps(OSS, pipeline_parallel=2)):
        line = times.decode_line(decodes, kv, window)

        step_s = times.step_s([], decodes, kv, window)

        assert step_s == line.base_s + (line.per_kv_token_s * kv + line.per_window_token_s * window)


def test_an_8b_model_decodes_on_an_h100_at_the_pace_of_its_memory() -> None:
    reading_s = 15.0e9 / 3.35e12

    assert reading_s < decode_s(steps(), 1) < 1.8 * reading_s


def test_a_prompt_takes_more_time_with_more_tokens_and_with_more_before_them() -> None:
    times = steps()

    assert prompt_s(times, 1000) < prompt_s(times, 2000) < prompt_s(times, 2000, context=8000)


def test_a_prompt_cut_in_two_attends_to_as_much() -> None:
    times = steps()
    attention = times._prompt_attention.chunk_s

    assert attention(3000, 0) == pytest.approx(attention(1000, 0) + attention(2000, 1000))


def test_sliding_layers_look_back_no_further_than_their_window() -> None:
    windowed = steps(OSS)._prompt_attention
    full_pair_s = windowed._full

    far = windowed.chunk_s(1, 50_000) - full_pair_s * 50_001
    further = windowed.chunk_s(1, 90_000) - full_pair_s * 90_001

    assert windowed._windowed > 0
    assert far == pytest.approx(further)


def test_a_faster_gpu_and_more_of_them_are_faster() -> None:
    slow, fast = steps(gpu="a100-sxm-80gb"), steps(gpu="h100-sxm")
    two = steps(gpu="h100-sxm", tensor_parallel=2)

    for sequences in (1, 16, 256):
        assert decode_s(slow, sequences) > decode_s(fast, sequences) > decode_s(two, sequences)
    assert prompt_s(slow, 4000) > prompt_s(fast, 4000) > prompt_s(two, 4000)


def test_fp8_weights_are_read_in_less_time_even_where_they_cannot_be_multiplied() -> None:
    for gpu in ("h100-sxm", "a100-sxm-80gb"):
        assert decode_s(steps("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8", gpu), 1) < 0.75 * decode_s(
            steps(gpu=gpu), 1
        )


def test_decode_batches_cost_what_the_next_graph_size_costs() -> None:
    padded = steps()
    fixed_s = padded._sequence_s + padded._attention.base_s(1) - padded._attention.base_s(0)

    assert decode_s(padded, 10, 0) - decode_s(padded, 9, 0) == pytest.approx(fixed_s, rel=0.3)


def test_eager_steps_cannot_be_shorter_than_launching_their_kernels() -> None:
    captured, eager = steps(), steps(enforce_eager=True)

    assert decode_s(eager, 1) > 32 * eager._coefficients.eager_layer_s > decode_s(captured, 1)


def test_prompts_beyond_the_captured_sizes_take_at_least_as_long_as_launching_their_kernels() -> None:
    times = steps("openai/gpt-oss-20b", "b200")
    coefficients = times._coefficients
    launch_s = 24 * (coefficients.launch_layer_s + coefficients.launch_experts_s)
    captured = times._captured_tokens

    assert prompt_s(times, captured) < launch_s < prompt_s(times, captured + 1)
    assert prompt_s(times, captured + 500) == pytest.approx(prompt_s(times, captured + 1), rel=0.1)


def test_without_pieces_prompts_of_any_size_are_launched() -> None:
    times = steps(piecewise_graphs=False)

    assert prompt_s(times, 16) > 32 * times._coefficients.launch_layer_s
    assert prompt_s(times, 8000) == prompt_s(steps(), 8000)


def test_work_between_products_is_cut_as_they_are_but_for_norms() -> None:
    one, eight = (steps("meta-llama/Llama-3.1-70B-Instruct", "b200", tensor_parallel=gpus) for gpus in (1, 8))
    setups = [
        engine_setup(model_card("meta-llama/Llama-3.1-70B-Instruct"), gpu_card("b200"), tensor_parallel=gpus)
        for gpus in (1, 8)
    ]
    tokens = np.array([4096.0])
    whole, part = (elementwise_s(setup, one._coefficients, tokens) for setup in setups)

    assert whole / 8 < part < whole / 2
    assert prompt_s(eight, 4000) < prompt_s(one, 4000) / 3


def test_an_allreduce_takes_no_less_among_more_gpus_nor_with_more_tokens() -> None:
    setups = [
        engine_setup(model_card("meta-llama/Llama-3.1-70B-Instruct"), gpu_card("h100-sxm"), tensor_parallel=gpus)
        for gpus in (2, 4, 8)
    ]
    curves = measured_curves()
    efficiency = curves.efficiency["h100_sxm"]
    coefficients = curves.coefficients_for("hopper")
    tokens = np.array([1.0, 16.0, 256.0, 4096.0])

    two, four, eight = (exchange_s(setup, efficiency, coefficients, tokens) for setup in setups)

    assert (two <= four).all()
    assert (four <= 1.02 * eight).all()
    assert (np.diff(eight) > 0).all()


def test_norms_over_all_heads_cost_one_more_exchange_between_gpus() -> None:
    model = model_card("MiniMaxAI/MiniMax-M2.5")
    curves = measured_curves()
    efficiency, coefficients = curves.efficiency["b200_sxm"], curves.coefficients_for("blackwell")
    token = np.array([1.0])

    def exchange(**changes: Any) -> float:
        setup = engine_setup(replace(model, **changes), gpu_card("b200"), tensor_parallel=4)
        return float(exchange_s(setup, efficiency, coefficients, token)[0])

    assert model.norms_all_heads
    assert exchange() == pytest.approx(1.5 * exchange(norms_all_heads=False), rel=0.05)


def test_experts_are_read_as_far_as_tokens_visit_them() -> None:
    times = steps("Qwen/Qwen3-30B-A3B")

    one, many, all_of_them = decode_s(times, 1, 0), decode_s(times, 32, 0), decode_s(times, 256, 0)

    assert many > 3 * one
    assert all_of_them < 2 * many


def test_ranks_of_data_parallelism_share_sequences_but_not_a_single_prompt() -> None:
    alone = steps("Qwen/Qwen3-30B-A3B")
    ranks = steps("Qwen/Qwen3-30B-A3B", data_parallel=2, expert_parallel=True)

    assert decode_s(ranks, 256) < decode_s(alone, 256)
    assert ranks.step_s([Chunk(2048, 0, True)] * 2, 0, 0, 0) < 1.5 * prompt_s(ranks, 2048)


def test_stages_of_a_pipeline_give_a_token_no_sooner() -> None:
    assert decode_s(steps(pipeline_parallel=2), 64) > 0.8 * decode_s(steps(), 64)


@pytest.mark.parametrize("stages", [2, 4])
@pytest.mark.parametrize("tokens_each", [500, 8000])
def test_a_round_of_all_stages_takes_what_one_of_their_batches_takes_alone(stages: int, tokens_each: int) -> None:
    """But for the head in the last stage, and the host, which have all batches to do."""
    alone_s = decode_s(steps(), 32, tokens_each)
    round_s = decode_s(steps(pipeline_parallel=stages), 32 * stages, tokens_each)

    assert alone_s < round_s < 1.25 * alone_s


def test_one_sequence_keeps_one_stage_busy_at_a_time() -> None:
    staged = steps(pipeline_parallel=4)

    assert decode_s(staged, 1, 8000) == pytest.approx(decode_s(steps(), 1, 8000))
    assert decode_s(staged, 64, 8000) < 0.5 * decode_s(steps(), 64, 8000)


def test_a_prompt_that_is_alone_passes_the_stages_one_after_the_other() -> None:
    staged = steps(pipeline_parallel=2)

    assert prompt_s(staged, 4000) == pytest.approx(prompt_s(steps(), 4000))


def test_no_batch_overtakes_one_with_a_prompt() -> None:
    def added_s(times: Roofline) -> float:
        return times.step_s([Chunk(4000, 0, last=True)], 32, 32_000, 0) - decode_s(times, 32)

    assert added_s(steps(pipeline_parallel=2)) == pytest.approx(added_s(steps()), rel=0.1)


def test_a_prompt_in_every_batch_takes_no_longer_than_in_one() -> None:
    staged = steps(pipeline_parallel=2)
    one_s, two_s = (staged.step_s([Chunk(4000, 0, last=True)] * n, 32, 32_000, 0) for n in (1, 2))

    assert one_s <= two_s < 1.1 * one_s


def test_verifying_drafts_costs_more_than_a_token_and_less_than_as_many_steps() -> None:
    drafting = steps(speculation=Speculation(draft_tokens=4, acceptance=0.7, draft_share=0.0))

    by_a_model = steps(speculation=Speculation(draft_tokens=4, acceptance=0.7, draft_share=0.05))

    assert decode_s(steps(), 32) < decode_s(drafting, 32) < 5 * decode_s(steps(), 32)
    assert decode_s(by_a_model, 32) == pytest.approx(1.2 * decode_s(drafting, 32))


def test_times_tell_whether_kernels_were_measured_on_this_gpu_and_in_this_format() -> None:
    assert steps().origin is Origin.MEASURED_TABLE
    assert steps("nvidia/Llama-3.1-8B-Instruct-FP8", "l40s").origin is Origin.MEASURED_TABLE
    assert steps(gpu="b300").origin is Origin.ROOFLINE
    assert steps("RedHatAI/Qwen2.5-7B-Instruct-quantized.w8a8", "h100-sxm").origin is Origin.ROOFLINE


def test_a_request_waits_for_the_frontend_the_longer_its_prompt() -> None:
    frontend = frontend_of(measured_curves())

    assert 0 < frontend.arrival_s(10) < frontend.arrival_s(10_000) < 1


def test_memory_without_ecc_reads_faster_than_curves_of_memory_with_it_say() -> None:
    setup = engine_setup(model_card(LLAMA), gpu_card("rtx-4090"))
    with_ecc = replace(setup, gpu=replace(setup.gpu, memory_over_kin=1.0))
    without_s, with_s = (decode_s(step_time_of(each, measured_curves()), 1) for each in (setup, with_ecc))

    assert with_s / 1.067 < without_s < with_s / 1.05
