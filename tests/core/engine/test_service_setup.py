"""From a spec to an engine setup."""

from __future__ import annotations

from typing import Any

import pytest

from enova.adapters.facts import gpu_card, model_card
from enova.core.engine.defaults import NEWEST, engine_setup
from enova.core.engine.fit import fit_of
from enova.core.engine.numbers import Numbers
from enova.core.engine.service_setup import kv_numbers, setup_of_service, unmodelled, version_of
from enova.core.engine.setup import EngineSetup
from enova.core.spec import Service

LLAMA = model_card("meta-llama/Llama-3.1-8B-Instruct")
H100 = gpu_card("h100-sxm")


def service(**engine: Any) -> Service:
    return Service.model_validate({"metadata": {"name": "chat"}, "model": "org/model", "engine": engine})


def setup(**engine: Any) -> EngineSetup:
    return setup_of_service(service(**engine), LLAMA, H100)


def test_a_spec_that_says_nothing_is_vllms_own_choice() -> None:
    assert setup() == engine_setup(LLAMA, H100)


def test_what_a_spec_says_is_in_the_setup() -> None:
    found = setup(
        version="0.19.1",
        tensor_parallel_size=2,
        pipeline_parallel_size=2,
        max_model_len=4096,
        max_num_seqs=32,
        max_num_batched_tokens=4096,
        long_prefill_token_threshold=512,
        gpu_memory_utilization=0.8,
        kv_cache_dtype="fp8",
        block_size=32,
        enable_prefix_caching=False,
        async_scheduling=False,
        extra_args={"scheduler_reserve_full_isl": False, "watermark": 0.01},
    )

    assert found == engine_setup(
        LLAMA,
        H100,
        vllm=(0, 19),
        tensor_parallel=2,
        pipeline_parallel=2,
        max_model_len=4096,
        max_num_seqs=32,
        max_num_batched_tokens=4096,
        long_prefill_token_threshold=512,
        gpu_memory_utilization=0.8,
        kv_cache=Numbers.FP8,
        block_size=32,
        prefix_caching=False,
        async_scheduling=False,
        reserve_full_prompt=False,
        watermark=0.01,
    )


def test_quantising_while_loading_changes_a_plain_checkpoint_only() -> None:
    stored = model_card("nvidia/Llama-3.1-8B-Instruct-FP8")

    assert setup(quantization="fp8").model.formats.mlp is Numbers.FP8
    assert setup(quantization="awq").model == LLAMA
    assert setup_of_service(service(quantization="fp8"), stored, H100).model == stored


def test_auto_is_the_longest_that_fits() -> None:
    found = setup_of_service(service(max_model_len="auto"), LLAMA, gpu_card("rtx-4090"))

    assert 0 < found.max_model_len < LLAMA.max_model_len
    assert fit_of(found).starts
    assert setup(max_model_len="auto").max_model_len == LLAMA.max_model_len


def test_a_number_of_blocks_is_taken_as_it_is() -> None:
    assert fit_of(setup(num_gpu_blocks_override=1234, max_model_len=4096)).memory.kv_blocks == 1234


@pytest.mark.parametrize(
    ("compilation", "sizes"),
    [
        ({"cudagraph_capture_sizes": [8, 1, 4]}, (1, 4, 8)),
        ({"max_cudagraph_capture_size": 16}, (1, 2, 4, 8, 16)),
        ({"cudagraph_mode": "NONE"}, ()),
    ],
)
def test_graphs_are_those_of_the_compilation_config(compilation: dict[str, Any], sizes: tuple[int, ...]) -> None:
    assert setup(compilation_config=compilation).cudagraph_sizes == sizes


def test_eager_engines_have_no_graphs() -> None:
    assert setup(enforce_eager=True).cudagraph_sizes == ()
    assert setup(optimization_level=0).cudagraph_sizes == ()


def test_throughput_mode_doubles_a_step() -> None:
    found = setup(performance_mode="throughput")

    assert (found.max_num_batched_tokens, found.max_num_seqs) == (16_384, 2048)


def test_drafts_are_accepted_as_is_usual_for_their_method() -> None:
    eagle = setup(speculative_config={"method": "eagle3", "num_speculative_tokens": 3}).speculation
    ngram = setup(speculative_config={"method": "ngram", "num_speculative_tokens": 3}).speculation

    assert eagle is not None
    assert ngram is not None
    assert eagle.acceptance > ngram.acceptance
    assert (eagle.draft_tokens, ngram.draft_share) == (3, 0.0)
    assert setup(speculative_config={"method": "ngram"}).speculation is None


def test_the_cache_on_cpus_is_the_variable_that_vllm_reads() -> None:
    spec = Service.model_validate(
        {
            "metadata": {"name": "chat"},
            "model": "org/model",
            "placement": {"accelerator": "cpu"},
            "engine": {"env": {"VLLM_CPU_KVCACHE_SPACE": "4"}},
        }
    )

    assert setup_of_service(spec, LLAMA, gpu_card("cpu")).kv_cache_bytes == 4 << 30


@pytest.mark.parametrize(
    ("written", "version"), [("0.11.0", (0, 11)), ("0.19.0rc1", (0, 19)), ("1.2", (1, 2)), (None, NEWEST)]
)
def test_versions_are_major_and_minor(written: str | None, version: tuple[int, int]) -> None:
    assert version_of(written) == version


def test_names_of_formats_are_vllms() -> None:
    assert kv_numbers("auto") is kv_numbers(None) is None
    assert kv_numbers("fp8_e4m3") is Numbers.FP8
    assert kv_numbers("bfloat16") is Numbers.BF16


def test_what_is_not_modelled_is_named() -> None:
    assert unmodelled(service()) == ()
    assert unmodelled(service(cpu_offload_gb=10, enable_lora=False)) == ("cpu_offload_gb",)
