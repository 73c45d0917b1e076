"""Start-up memory, against what real engines logged."""

from __future__ import annotations

import os
import statistics
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enova.adapters.facts import gpu_card, model_card
from enova.adapters.measurements.start_up import read_start_ups
from enova.core.accuracy.start_up import StartUp
from enova.core.engine.defaults import engine_setup
from enova.core.engine.memory import GIB, Memory, memory_of
from enova.core.engine.numbers import Numbers
from enova.core.engine.service_setup import kv_numbers

H100 = gpu_card("h100-sxm")
LLAMA = model_card("meta-llama/Llama-3.1-8B-Instruct")


@cache
def starts() -> list[StartUp]:
    folder = Path(os.environ.get("ENOVA_SHARED", Path(__file__).parents[4] / "shared"))
    assert folder.is_dir(), f"{folder} is missing: set ENOVA_SHARED"
    return [start for start in read_start_ups(folder / "data/memory/vllm_startup_h100.csv")[0] if start.started]


@cache
def predicted(index: int) -> Memory:
    start = starts()[index]
    setup = engine_setup(
        model_card(start.model),
        replace(H100, memory_bytes=start.memory_bytes or 0),
        vllm=start.vllm,
        tensor_parallel=start.tensor_parallel,
        pipeline_parallel=start.pipeline_parallel,
        max_model_len=start.max_model_len,
        gpu_memory_utilization=start.gpu_memory_utilization,
        numbers=Numbers(start.dtype),
        quantization=Numbers.FP8 if start.quantisation == "fp8" else None,
        kv_cache=kv_numbers(start.kv_cache),
    )
    return memory_of(setup)


def errors(metric: str, of: str) -> list[float]:
    """Shares by which predictions miss what was measured."""
    return [abs(getattr(predicted(i), of) / start.measured[metric] - 1) for i, start in enumerate(starts())]


def test_kv_tokens_of_real_starts_are_met_within_a_hundredth() -> None:
    missed = errors("kv_tokens", "kv_tokens")

    assert len(missed) == 25
    assert max(missed) < 0.01
    assert statistics.mean(missed) < 0.001


def test_blocks_and_concurrency_are_reported_as_vllm_reports_them() -> None:
    assert statistics.mean(errors("kv_blocks", "kv_blocks")) < 0.001
    assert statistics.mean(errors("max_concurrency", "max_concurrency")) < 0.002


def test_weights_are_met_within_a_hundredth() -> None:
    # Engines of several stages logged those of one of them, not of the one that bounds all.
    alone = [i for i, start in enumerate(starts()) if start.pipeline_parallel == 1]
    missed = [abs(predicted(i).weights / GIB / starts()[i].measured["weights"] - 1) for i in alone]

    assert max(missed) < 0.01


def test_activations_are_met_within_a_few_hundredths_of_a_gibibyte() -> None:
    # Models in fp32 run other kernels, which nothing here is fitted to.
    plain = [i for i, s in enumerate(starts()) if s.pipeline_parallel == 1 and s.dtype != "fp32"]
    missed = [abs(predicted(i).activations / GIB - starts()[i].measured["activations"]) for i in plain]

    assert max(missed) < 0.03


def test_cuda_graphs_are_met_within_a_third_of_a_gibibyte() -> None:
    logged = [i for i, start in enumerate(starts()) if "cuda_graphs" in start.measured]
    missed = [abs(predicted(i).graphs / GIB - starts()[i].measured["cuda_graphs"]) for i in logged]

    assert max(missed) < 0.36
    assert statistics.median(missed) < 0.12


def test_a_start_on_a_card_for_gamers_is_met() -> None:
    setup = engine_setup(
        LLAMA,
        replace(gpu_card("rtx-4090"), memory_bytes=25_250_627_584),
        vllm=(0, 19),
        max_num_seqs=256,
        max_num_batched_tokens=2048,
        max_model_len=32_768,
        gpu_memory_utilization=0.9,
    )

    assert memory_of(setup).kv_blocks == pytest.approx(2588, rel=0.01)


def test_graphs_are_taken_off_the_cache_only_where_the_version_does() -> None:
    old = memory_of(engine_setup(LLAMA, H100, vllm=(0, 19), gpu_memory_utilization=0.9))
    new = memory_of(engine_setup(LLAMA, H100, vllm=(0, 20), gpu_memory_utilization=0.9))

    assert old.graphs == new.graphs > 0
    assert old.kv_cache - new.kv_cache == pytest.approx(new.graphs, abs=2)


def test_the_parts_add_up_to_what_was_asked_for() -> None:
    memory = memory_of(engine_setup(LLAMA, H100))
    parts = memory.weights + memory.activations + memory.other + memory.graphs + memory.kv_cache

    assert parts == pytest.approx(memory.requested, abs=5)


def test_newer_versions_sample_without_copies_of_the_logits_while_profiling() -> None:
    old = memory_of(engine_setup(LLAMA, H100, vllm=(0, 21)))
    new = memory_of(engine_setup(LLAMA, H100, vllm=(0, 26)))

    assert new.activations < old.activations


def test_a_cache_of_given_size_takes_no_notice_of_the_rest() -> None:
    memory = memory_of(engine_setup(LLAMA, H100, kv_cache_bytes=1 << 30))

    assert memory.kv_blocks == (1 << 30) // (2 * 1024 * 1024)


def test_on_cpus_the_cache_is_what_the_program_leaves_or_half_of_all_by_version() -> None:
    cpu = replace(gpu_card("cpu"), memory_bytes=64 * GIB)
    new = memory_of(engine_setup(LLAMA, cpu, vllm=(0, 32)))
    old = memory_of(engine_setup(LLAMA, cpu, vllm=(0, 19)))

    assert (new.activations, old.kv_cache) == (0, 32 * GIB)
    assert new.kv_cache == pytest.approx(new.requested - new.weights - new.other, abs=3)


def test_newer_versions_tell_tokens_by_concurrency() -> None:
    gemma = model_card("google/gemma-3-4b-it")
    memory = memory_of(engine_setup(gemma, H100, vllm=(0, 32), max_model_len=8192))

    assert memory.kv_tokens == int(memory.max_concurrency * 8192)


def test_the_longest_sequence_fits_and_one_token_more_does_not() -> None:
    memory = memory_of(engine_setup(model_card("google/gemma-2-9b-it"), gpu_card("rtx-4090")))

    assert memory.layout.blocks(memory.longest) <= memory.kv_blocks < memory.layout.blocks(memory.longest + 1)


@given(
    name=st.sampled_from(
        [
            "meta-llama/Llama-3.1-8B-Instruct",
            "Qwen/Qwen3-30B-A3B",
            "google/gemma-3-4b-it",
            "moonshotai/Kimi-K2.5",
            "openai/gpt-oss-20b",
        ]
    ),
    ranks=st.sampled_from([1, 2, 4]),
    share=st.floats(0.3, 0.9),
    minor=st.sampled_from([11, 19, 20, 26, 32]),
)
@settings(max_examples=40, deadline=None)
def test_more_gpus_or_a_greater_share_never_leave_less_cache(
    name: str, ranks: int, share: float, minor: int
) -> None:
    setup = engine_setup(
        model_card(name), H100, vllm=(0, minor), tensor_parallel=ranks, gpu_memory_utilization=share
    )
    blocks = memory_of(setup).kv_blocks

    assert memory_of(replace(setup, tensor_parallel=2 * ranks)).kv_blocks >= blocks
    assert memory_of(replace(setup, gpu_memory_utilization=share + 0.05)).kv_blocks >= blocks
    assert memory_of(replace(setup, max_num_seqs=setup.max_num_seqs // 2)).kv_blocks >= blocks
