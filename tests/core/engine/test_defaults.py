"""What vLLM chooses itself."""

from __future__ import annotations

import pytest

from enova.adapters.facts import gpu_card, model_card
from enova.core.engine.defaults import cudagraph_sizes, engine_setup
from enova.core.engine.numbers import Numbers
from enova.core.engine.setup import Speculation, Version
from enova.core.engine.versions import BEHAVIOURS, behaviour_of

LLAMA = model_card("meta-llama/Llama-3.1-8B-Instruct")
QWEN_FP8 = model_card("Qwen/Qwen3-32B-FP8")


@pytest.mark.parametrize(
    ("gpu", "vllm", "tokens", "seqs"),
    [
        ("h100-sxm", (0, 19), 8192, 1024),
        ("a100-sxm-80gb", (0, 32), 2048, 256),
        ("rtx-4090", (0, 19), 2048, 256),
        ("l40s", (0, 32), 2048, 256),
        ("b200", (0, 19), 8192, 1024),
        ("b200", (0, 32), 16384, 1024),
        ("cpu", (0, 32), 2048, 128),
    ],
)
def test_a_step_holds_what_suits_the_device(gpu: str, vllm: Version, tokens: int, seqs: int) -> None:
    setup = engine_setup(LLAMA, gpu_card(gpu), vllm=vllm)

    assert (setup.max_num_batched_tokens, setup.max_num_seqs) == (tokens, seqs)


def test_versions_differ_as_their_sources_say() -> None:
    h100 = gpu_card("h100-sxm")
    old, middle, new = (engine_setup(LLAMA, h100, vllm=(0, minor)) for minor in (11, 19, 32))

    assert [setup.gpu_memory_utilization for setup in (old, middle, new)] == [0.9, 0.9, 0.92]
    assert [setup.async_scheduling for setup in (old, middle, new)] == [False, True, True]
    assert [setup.reserve_full_prompt for setup in (old, middle, new)] == [False, True, True]


def test_behaviours_are_in_order_and_cover_every_version() -> None:
    assert [known.since for known in BEHAVIOURS] == sorted({known.since for known in BEHAVIOURS})
    assert behaviour_of((0, 1)) is BEHAVIOURS[0]
    assert behaviour_of((0, 20)).since == (0, 20)
    assert behaviour_of((0, 25)).since == (0, 21)
    assert behaviour_of((9, 0)) is BEHAVIOURS[-1]


def test_graphs_have_the_sizes_that_vllm_logged() -> None:
    sizes = engine_setup(LLAMA, gpu_card("rtx-4090"), vllm=(0, 19)).cudagraph_sizes

    assert len(sizes) == 51
    assert sizes[:6] == (1, 2, 4, 8, 16, 24)
    assert sizes[34:37] == (256, 272, 288)
    assert sizes[-1] == 512
    assert len(cudagraph_sizes(512, vllm=(0, 10))) == 67


def test_graphs_reach_twice_the_sequences_and_no_more_than_a_step_holds() -> None:
    h100 = gpu_card("h100-sxm")

    assert engine_setup(LLAMA, h100, max_num_seqs=16).cudagraph_sizes == (1, 2, 4, 8, 16, 24, 32)
    assert engine_setup(LLAMA, h100, max_num_batched_tokens=20).cudagraph_sizes[-1] == 16
    assert engine_setup(LLAMA, gpu_card("b200")).cudagraph_sizes[-1] == 1024
    drafting = Speculation(draft_tokens=3, acceptance=0.5, draft_share=0.0)
    assert engine_setup(LLAMA, h100, max_num_seqs=16, speculation=drafting).cudagraph_sizes[-1] == 128
    assert engine_setup(LLAMA, h100, enforce_eager=True).cudagraph_sizes == ()


def test_a_model_made_for_short_texts_bounds_the_step() -> None:
    setup = engine_setup(LLAMA, gpu_card("h100-sxm"), max_model_len=2, max_num_seqs=3)

    assert setup.max_num_batched_tokens == 6


def test_without_chunks_a_step_holds_the_longest_prompt() -> None:
    setup = engine_setup(LLAMA, gpu_card("h100-sxm"), chunked_prefill=False)

    assert setup.max_num_batched_tokens == LLAMA.max_model_len


def test_the_kv_cache_has_the_format_of_the_model_and_fp32_is_run_in_16_bits() -> None:
    h100 = gpu_card("h100-sxm")

    assert engine_setup(QWEN_FP8, h100).kv_cache is Numbers.BF16
    assert engine_setup(LLAMA, h100, numbers=Numbers.FP32).kv_cache is Numbers.FP32
    stored_in_fp32 = engine_setup(LLAMA, h100, numbers=Numbers.FP32).model
    assert engine_setup(stored_in_fp32, h100).model.formats.attention is Numbers.BF16


def test_a_cpu_has_larger_blocks_no_graphs_and_schedules_in_step() -> None:
    setup = engine_setup(LLAMA, gpu_card("cpu"))

    assert (setup.block_size, setup.cudagraph_sizes, setup.async_scheduling) == (128, (), False)


def test_stages_run_ahead_only_where_the_version_can() -> None:
    h100 = gpu_card("h100-sxm")

    assert not engine_setup(LLAMA, h100, vllm=(0, 14), pipeline_parallel=2).async_scheduling
    assert engine_setup(LLAMA, h100, vllm=(0, 32), pipeline_parallel=2).async_scheduling


def test_what_is_given_stays() -> None:
    setup = engine_setup(
        LLAMA,
        gpu_card("h100-sxm"),
        max_num_seqs=7,
        max_num_batched_tokens=999,
        block_size=32,
        gpu_memory_utilization=0.5,
        prefix_caching=False,
        async_scheduling=False,
        reserve_full_prompt=False,
        graph_sizes=(1, 3),
    )

    assert (setup.max_num_seqs, setup.max_num_batched_tokens, setup.block_size) == (7, 999, 32)
    assert (setup.gpu_memory_utilization, setup.cudagraph_sizes) == (0.5, (1, 3))
    assert (setup.prefix_caching, setup.async_scheduling, setup.reserve_full_prompt) == (False, False, False)
