"""The matrix products of a step are the weights of a model, cut for one GPU."""

from __future__ import annotations

import pytest

from enova.adapters.facts import gpu_card, model_card
from enova.core.engine.defaults import engine_setup
from enova.core.engine.numbers import Numbers
from enova.core.engine.products import computed_in, head_of, products_of
from enova.core.engine.weights import parameters_of

H100 = gpu_card("h100-sxm")


@pytest.mark.parametrize(
    "name",
    ["meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-32B", "openai/gpt-oss-120b", "MiniMaxAI/MiniMax-M2.5"],
)
def test_products_of_one_gpu_hold_all_parameters_but_experts_embedding_and_norms(name: str) -> None:
    model = model_card(name)
    parts = parameters_of(model)

    held = sum(item.times * item.n * item.k for item in products_of(engine_setup(model, H100)))

    # Biases and the small vectors of attention are not products.
    assert held == pytest.approx(parts.attention + parts.mlp + parts.shared_experts + parts.router, rel=2e-3)


def test_tensor_parallelism_cuts_every_product() -> None:
    model = model_card("meta-llama/Llama-3.1-8B-Instruct")

    whole = products_of(engine_setup(model, H100))
    half = products_of(engine_setup(model, H100, tensor_parallel=2))

    assert [item.n * item.k for item in half] == [item.n * item.k / 2 for item in whole]
    assert head_of(engine_setup(model, H100, tensor_parallel=2)).n == model.vocab_size / 2


@pytest.mark.parametrize(
    ("weights", "activations", "gpu", "expected"),
    [
        (Numbers.FP8, Numbers.FP8, "h100-sxm", Numbers.FP8),
        (Numbers.FP8_BLOCK, Numbers.FP8, "h100-sxm", Numbers.FP8_BLOCK),
        (Numbers.FP8, Numbers.FP8, "a100-sxm-80gb", Numbers.BF16),
        (Numbers.INT4, Numbers.BF16, "h100-sxm", Numbers.BF16),
        (Numbers.INT4_G32, Numbers.BF16, "b200", Numbers.BF16),
        (Numbers.NVFP4, Numbers.NVFP4, "b200", Numbers.NVFP4),
        (Numbers.NVFP4, Numbers.NVFP4, "h100-sxm", Numbers.BF16),
    ],
)
def test_weights_are_widened_where_the_hardware_cannot_multiply_them(
    weights: Numbers, activations: Numbers, gpu: str, expected: Numbers
) -> None:
    assert computed_in(weights, activations, gpu_card(gpu)) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MiniMaxAI/MiniMax-M2.5", Numbers.FP32),
        ("zai-org/GLM-4.6", Numbers.FP32),
        ("openai/gpt-oss-120b", Numbers.BF16),
        ("Qwen/Qwen3-30B-A3B", Numbers.BF16),
    ],
)
def test_routers_are_multiplied_in_what_vllm_keeps_them_in(name: str, expected: Numbers) -> None:
    model = model_card(name)
    assert model.experts is not None

    routers = [item for item in products_of(engine_setup(model, H100)) if item.n == model.experts.count]

    assert [item.weights for item in routers] == [expected]
