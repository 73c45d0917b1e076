"""Weights by part and by GPU."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from enova.adapters.facts import gpu_card, model_card, model_names
from enova.core.engine.defaults import engine_setup
from enova.core.engine.model_card import ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.weights import in_format, loaded_bytes, parameters_of, stage_layers, weights_of

LLAMA = model_card("meta-llama/Llama-3.1-8B-Instruct")
H100 = gpu_card("h100-sxm")
GIB = 1 << 30


def bytes_of(model: ModelCard, **split: int) -> float:
    return weights_of(engine_setup(model, H100, **split))[0].total  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8.030),
        ("meta-llama/Llama-3.1-70B-Instruct", 70.554),
        ("Qwen/Qwen3-30B-A3B", 30.532),
        ("Qwen/Qwen3-235B-A22B", 235.094),
        ("Qwen/Qwen1.5-MoE-A2.7B", 14.316),
        ("google/gemma-2-27b-it", 27.227),
        ("openai/gpt-oss-120b", 116.83),
    ],
)
def test_parameters_are_as_published(name: str, billions: float) -> None:
    assert parameters_of(model_card(name)).total / 1e9 == pytest.approx(billions, rel=2e-3)


def test_tensor_parallelism_cuts_the_matrices_and_nothing_else() -> None:
    whole = weights_of(engine_setup(LLAMA, H100))[0]
    half = weights_of(engine_setup(LLAMA, H100, tensor_parallel=2))[0]

    assert half.mlp == whole.mlp / 2
    assert half.attention == whole.attention / 2
    assert half.head == whole.head / 2
    assert half.norms == whole.norms


def test_key_and_value_heads_are_repeated_once_there_are_fewer_than_gpus() -> None:
    eight = weights_of(engine_setup(LLAMA, H100, tensor_parallel=8))[0]
    sixteen = weights_of(engine_setup(LLAMA, H100, tensor_parallel=16))[0]

    assert LLAMA.attention[0].kv_heads == 8
    assert sixteen.attention > eight.attention / 2


def test_stages_have_the_embedding_first_and_the_head_last() -> None:
    first, middle, _, last = weights_of(engine_setup(LLAMA, H100, pipeline_parallel=4))

    assert (first.embedding > 0, first.head) == (True, 0)
    assert (middle.embedding, middle.head) == (0, 0)
    assert (last.embedding, last.head > 0) == (0, True)


def test_a_tied_embedding_is_on_both_ends() -> None:
    gemma = model_card("google/gemma-2-9b-it")
    first, last = weights_of(engine_setup(gemma, H100, pipeline_parallel=2))

    assert first.embedding == last.embedding > 0
    assert last.head == 0


def test_experts_are_spread_over_tensor_and_data_ranks_and_shared_ones_over_tensor_ranks() -> None:
    moe = model_card("Qwen/Qwen1.5-MoE-A2.7B")
    whole = weights_of(engine_setup(moe, H100))[0]
    spread = weights_of(engine_setup(moe, H100, tensor_parallel=2, data_parallel=4, expert_parallel=True))[0]

    assert spread.experts == whole.experts / 8
    assert spread.shared_experts == whole.shared_experts / 2
    assert spread.router == whole.router


def test_latent_attention_keeps_its_compression_whole_on_every_gpu() -> None:
    kimi = model_card("moonshotai/Kimi-K2.5")
    one = weights_of(engine_setup(kimi, H100, tensor_parallel=1))[0].attention
    eight = weights_of(engine_setup(kimi, H100, tensor_parallel=8))[0].attention

    assert eight > one / 8


@pytest.mark.parametrize(
    ("layers", "stages", "expected"),
    [(32, 4, (8, 8, 8, 8)), (61, 4, (15, 15, 16, 15)), (34, 4, (8, 9, 9, 8)), (7, 2, (4, 3)), (5, 1, (5,))],
)
def test_layers_left_over_go_to_stages_before_the_last(
    layers: int, stages: int, expected: tuple[int, ...]
) -> None:
    assert stage_layers(layers, stages) == expected


def test_stages_together_hold_the_model_once() -> None:
    whole = weights_of(engine_setup(LLAMA, H100))[0]
    stages = weights_of(engine_setup(LLAMA, H100, pipeline_parallel=3))

    assert sum(stage.mlp for stage in stages) == pytest.approx(whole.mlp)
    assert sum(stage.total for stage in stages) == pytest.approx(whole.total, rel=1e-5)


def test_files_are_believed_over_the_architecture_unless_they_nearly_agree() -> None:
    counted = bytes_of(LLAMA)
    draft_layer_inside = replace(LLAMA, weight_bytes=int(counted * 1.02))
    half_as_large = replace(LLAMA, weight_bytes=int(counted / 2))

    assert bytes_of(draft_layer_inside) == counted
    assert bytes_of(half_as_large) == pytest.approx(counted / 2, rel=1e-3)


def test_a_dtype_changes_what_is_not_quantised() -> None:
    doubled = in_format(LLAMA, Numbers.FP32)
    fp8 = in_format(model_card("nvidia/Llama-3.1-8B-Instruct-FP8"), Numbers.FP16)

    assert bytes_of(engine_setup(doubled, H100, numbers=Numbers.FP32).model) == bytes_of(LLAMA)
    assert parameters_of(doubled) == parameters_of(LLAMA)
    assert (fp8.formats.attention, fp8.formats.embedding) == (Numbers.FP8, Numbers.FP16)


def test_loading_takes_the_tables_of_rotary_positions_too() -> None:
    setup = engine_setup(LLAMA, H100)

    assert loaded_bytes(setup)[0] - weights_of(setup)[0].total == 131_072 * 128 * 2


def test_large_tensors_are_allocated_in_multiples_of_two_mebibytes() -> None:
    # Cut in four, gate and up take 115.5 times 2 MiB, and half of the last one is lost: in 80 layers 80 MiB.
    kimi_dev = engine_setup(model_card("moonshotai/Kimi-Dev-72B"), H100, tensor_parallel=4)
    table = 131_072 * 128 * 2

    lost = loaded_bytes(kimi_dev)[0] - weights_of(kimi_dev)[0].total - table

    assert lost / GIB == pytest.approx(0.117, abs=0.005)


@pytest.mark.parametrize("name", model_names())
def test_no_part_of_any_known_model_is_negative_and_something_attends(name: str) -> None:
    parts = asdict(parameters_of(model_card(name)))

    assert min(parts.values()) >= 0
    assert parts["attention"] > 0
    assert parts["embedding"] > 0
