"""Whether an engine starts, why not, and what would help."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enova.adapters.facts import gpu_card, model_card
from enova.core.engine.defaults import engine_setup
from enova.core.engine.fit import Fit, Remedy, fit_of
from enova.core.engine.memory import GIB
from enova.core.engine.setup import EngineSetup

H100, RTX_4090, L4 = gpu_card("h100-sxm"), gpu_card("rtx-4090"), gpu_card("l4")
LLAMA = model_card("meta-llama/Llama-3.1-8B-Instruct")
LARGE = model_card("meta-llama/Llama-3.1-70B-Instruct")


def changed(setup: EngineSetup, remedy: Remedy) -> EngineSetup:
    match remedy.argument:
        case "gpu_memory_utilization":
            return replace(setup, gpu_memory_utilization=float(remedy.value))
        case "max_model_len":
            return replace(setup, max_model_len=int(remedy.value))
        case "tensor_parallel_size":
            return replace(setup, tensor_parallel=int(remedy.value))
        case _:
            return engine_setup(setup.model, setup.gpu, kv_cache=type(setup.kv_cache)(remedy.value))


def arguments(fit: Fit) -> list[str]:
    return [remedy.argument for remedy in fit.remedies]


def test_what_fits_needs_no_remedy() -> None:
    fit = fit_of(engine_setup(LLAMA, H100))

    assert (fit.starts, fit.reason, fit.remedies) == (True, None, ())


def test_weights_that_do_not_fit_need_more_gpus() -> None:
    fit = fit_of(engine_setup(LARGE, H100))

    assert fit.reason is not None
    assert "which leaves no KV cache" in fit.reason
    assert fit.remedies == (Remedy("tensor_parallel_size", "4"),)


def test_one_long_sequence_that_does_not_fit_can_be_shorter() -> None:
    fit = fit_of(engine_setup(LLAMA, RTX_4090))

    assert fit.reason == "one sequence of 131,072 tokens needs 16.00 GiB of KV cache, and 4.95 are left"
    assert arguments(fit) == ["max_model_len", "tensor_parallel_size"]


def test_a_little_more_of_the_memory_is_advised_first() -> None:
    fit = fit_of(engine_setup(model_card("Qwen/Qwen3-32B"), H100))

    assert arguments(fit) == [
        "gpu_memory_utilization",
        "max_model_len",
        "kv_cache_dtype",
        "tensor_parallel_size",
    ]


@pytest.mark.parametrize("name", ["Qwen/Qwen3-32B", "google/gemma-2-9b-it", "openai/gpt-oss-120b"])
@pytest.mark.parametrize("gpu", [H100, RTX_4090, L4], ids=lambda gpu: gpu.name)
def test_every_remedy_is_enough_by_itself(name: str, gpu: object) -> None:
    setup = engine_setup(model_card(name), gpu)  # type: ignore[arg-type]

    for remedy in fit_of(setup).remedies:
        assert fit_of(changed(setup, remedy)).starts, remedy


def test_a_length_beyond_the_model_is_refused_with_the_longest_there_is() -> None:
    fit = fit_of(engine_setup(LLAMA, H100, max_model_len=200_000))

    assert fit.reason == "max_model_len 200,000 is more than the 131,072 it was made for"
    assert fit.remedies[0] == Remedy("max_model_len", "131072")


@pytest.mark.parametrize(
    ("ranks", "reason"),
    [
        (3, "its 32 attention heads cannot be shared by 3 GPUs"),
        (64, "its 32 attention heads cannot be shared by 64 GPUs"),
    ],
)
def test_heads_must_divide_among_the_gpus(ranks: int, reason: str) -> None:
    fit = fit_of(engine_setup(LLAMA, H100, tensor_parallel=ranks))

    assert fit.reason == reason


def test_key_and_value_heads_must_divide_too_as_a_real_start_showed() -> None:
    fit = fit_of(engine_setup(model_card("Qwen/Qwen3-14B"), H100, tensor_parallel=5))

    assert fit.reason == "its 8 key and value heads cannot be shared by 5 GPUs"
    assert "tensor_parallel_size" in arguments(fit)


def test_more_stages_than_layers_are_refused() -> None:
    fit = fit_of(engine_setup(LLAMA, H100, pipeline_parallel=33))

    assert fit.reason == "its 32 layers cannot be split into 33 stages"


def test_what_cuda_itself_takes_cannot_be_asked_for() -> None:
    fit = fit_of(engine_setup(LLAMA, H100, gpu_memory_utilization=0.999))

    assert fit.reason == "79.11 GiB of each GPU are asked for, and 78.68 are free once CUDA has started"
    assert fit.remedies == (Remedy("gpu_memory_utilization", "0.97"),)


def test_a_cache_of_given_size_must_fit_beside_the_weights() -> None:
    fit = fit_of(engine_setup(LLAMA, RTX_4090, kv_cache_bytes=20 * GIB))

    assert fit.reason is not None
    assert fit.reason.startswith("20.00 GiB of KV cache and ")
