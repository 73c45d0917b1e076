"""Formats as tools write them into config.json, and as the engine is told to quantise."""

from __future__ import annotations

from typing import Any

import pytest

from enova.core.engine.model_card import ModelCard
from enova.core.engine.model_config import card_of
from enova.core.engine.numbers import Numbers
from enova.core.engine.quantization import quantized
from enova.errors import CannotModel

DENSE: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "vocab_size": 1000,
    "max_position_embeddings": 2048,
}
SPARSE = {**DENSE, "architectures": ["MixtralForCausalLM"], "num_local_experts": 8, "num_experts_per_tok": 2}
SHARED = {
    **SPARSE,
    "architectures": ["Glm4MoeForCausalLM"],
    "n_shared_experts": 1,
    "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
}
INT8 = {"num_bits": 8, "type": "int"}
NVFP4 = {"num_bits": 4, "type": "float", "group_size": 16}


def parts(config: dict[str, Any], section: object) -> tuple[str, ...]:
    """Attention, MLP, experts, embedding, and what is computed in."""
    formats = card_of({**config, "quantization_config": section}, name="m").formats
    return (formats.attention, formats.mlp, formats.experts, formats.embedding, formats.activations)


def tensors(*groups: dict[str, Any], ignore: list[str] | None = None) -> dict[str, Any]:
    named = {f"group_{number}": group for number, group in enumerate(groups)}
    return {"quant_method": "compressed-tensors", "config_groups": named, "ignore": ignore or ["lm_head"]}


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (None, ("bf16", "bf16", "bf16", "bf16", "bf16")),
        ({"quant_method": "fp8"}, ("fp8", "fp8", "fp8", "bf16", "fp8")),
        (
            {"quant_method": "fp8", "weight_block_size": [128, 128]},
            ("fp8_block", "fp8_block", "fp8_block", "bf16", "fp8"),
        ),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, ("int4", "int4", "int4", "bf16", "bf16")),
        ({"quant_method": "gptq", "bits": 8}, ("int8", "int8", "int8", "bf16", "bf16")),
        (
            {"quant_method": "awq", "bits": 4, "group_size": 32},
            ("int4_g32", "int4_g32", "int4_g32", "bf16", "bf16"),
        ),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 128}, ("int4", "int4", "int4", "bf16", "bf16")),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, ("int8", "int8", "int8", "bf16", "bf16")),
        ({"quant_method": "mxfp4"}, ("bf16", "bf16", "mxfp4", "bf16", "bf16")),
        ({"quant_algo": "NVFP4"}, ("nvfp4", "nvfp4", "nvfp4", "bf16", "nvfp4")),
        ({"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"}, ("int4", "int4", "int4", "bf16", "bf16")),
        (
            {"quant_method": "modelopt", "quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}},
            ("fp8", "fp8", "fp8", "bf16", "fp8"),
        ),
        (
            {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}},
            ("fp8", "fp8", "fp8", "bf16", "fp8"),
        ),
        (
            {"quant_method": "quark", "global_quant_config": {"weight": [{"dtype": "fp4"}]}},
            ("mxfp4", "mxfp4", "mxfp4", "bf16", "bf16"),
        ),
        (tensors({"weights": INT8, "input_activations": INT8}), ("int8", "int8", "int8", "bf16", "int8")),
        (tensors({"weights": INT8}), ("int8", "int8", "int8", "bf16", "bf16")),
        (tensors({"weights": {"num_bits": 4, "group_size": 128}}), ("int4", "int4", "int4", "bf16", "bf16")),
        (
            tensors({"weights": {"num_bits": 8, "type": "float"}, "input_activations": {"num_bits": 8}}),
            ("fp8", "fp8", "fp8", "bf16", "fp8"),
        ),
        (
            tensors({"weights": {"num_bits": 8, "type": "float", "strategy": "block"}, "input_activations": {}}),
            ("fp8_block", "fp8_block", "fp8_block", "bf16", "fp8"),
        ),
        (tensors({"weights": NVFP4, "input_activations": NVFP4}), ("nvfp4", "nvfp4", "nvfp4", "bf16", "nvfp4")),
        (
            tensors({"weights": {"num_bits": 4, "type": "float", "group_size": 32}}),
            ("mxfp4", "mxfp4", "mxfp4", "bf16", "bf16"),
        ),
    ],
)
def test_each_tool_says_it_in_its_own_way(section: object, expected: tuple[str, ...]) -> None:
    assert parts(SPARSE, section) == expected


@pytest.mark.parametrize(
    ("ignore", "expected"),
    [
        (["lm_head", "re:.*self_attn.*"], ("bf16", "int8", "int8", "bf16", "int8")),
        (["lm_head", "*self_attn*"], ("bf16", "int8", "int8", "bf16", "int8")),
        ([f"model.layers.{n}.self_attn" for n in range(4)], ("bf16", "int8", "int8", "bf16", "int8")),
        (["language_model.model.layers.2.self_attn*"], ("bf16", "int8", "int8", "bf16", "int8")),
        (["re:.*shared_experts.*"], ("int8", "bf16", "int8", "bf16", "int8")),
        (["re:.*mlp\\.(gate|up|down)_proj.*"], ("int8", "int8", "int8", "bf16", "int8")),
        (["mlp.gate"], ("int8", "int8", "int8", "bf16", "int8")),
        (["re:.*mlp.experts.*"], ("int8", "int8", "bf16", "bf16", "int8")),
    ],
)
def test_ignored_modules_stay_as_they_are(ignore: list[str], expected: tuple[str, ...]) -> None:
    assert parts(SHARED, tensors({"weights": INT8, "input_activations": INT8}, ignore=ignore)) == expected


def test_groups_with_targets_hold_for_those_and_the_general_one_for_the_rest() -> None:
    attention = {"weights": {"num_bits": 8, "type": "float"}, "targets": ["re:.*self_attn.*"]}
    section = tensors({"weights": NVFP4, "targets": ["Linear"]}, attention)

    assert parts(DENSE, section) == ("fp8", "nvfp4", "nvfp4", "bf16", "bf16")


def test_layers_may_be_listed_one_by_one() -> None:
    listed = {f"model.layers.{n}.self_attn.q_proj": {"quant_algo": "FP8"} for n in range(4)}
    listed |= {f"model.layers.{n}.mlp.gate_proj": {"quant_algo": "W4A16_NVFP4"} for n in range(4)}
    section = {"quant_method": "modelopt", "quantization": {"quantized_layers": listed}}

    assert parts(DENSE, section) == ("fp8", "nvfp4", "bf16", "bf16", "bf16")


def test_where_layers_hold_one_part_each_what_most_of_them_have_counts() -> None:
    nemotron = {
        **DENSE,
        "architectures": ["NemotronHForCausalLM"],
        "hybrid_override_pattern": "MEME*ME",
        "mamba_num_heads": 4,
        "ssm_state_size": 16,
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
    }
    modules = [f"backbone.layers.{number}.mixer" for number in range(7)]
    some_mamba = {"quant_algo": "NVFP4", "exclude_modules": [f"{modules[2]}.in_proj", "lm_head"]}
    all_mamba = {"quant_algo": "NVFP4", "exclude_modules": [f"{modules[number]}.in_proj" for number in (0, 2, 5)]}

    assert parts(nemotron, some_mamba) == ("nvfp4", "nvfp4", "nvfp4", "bf16", "nvfp4")
    assert parts(nemotron, all_mamba) == ("bf16", "nvfp4", "nvfp4", "bf16", "nvfp4")


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (None, None),
        ({"quant_method": "fp8"}, None),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}, Numbers.FP8),
        (
            {"quant_method": "modelopt", "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}},
            Numbers.FP8,
        ),
        ({"quant_method": "modelopt", "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": None}}, None),
        ({**tensors({"weights": INT8}), "kv_cache_scheme": {"num_bits": 8, "type": "float"}}, Numbers.FP8),
        ({**tensors({"weights": INT8}), "kv_cache_scheme": None}, None),
    ],
)
def test_files_may_ask_for_a_narrow_kv_cache(section: object, expected: Numbers | None) -> None:
    assert card_of({**DENSE, "quantization_config": section}, name="m").kv_cache is expected


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"quant_method": "aqlm"}, "quantised with aqlm"),
        ({}, "an unnamed method"),
        ({"quant_method": "gptq", "bits": 3}, "integers of 3 bits"),
        ({"quant_algo": "W4A8"}, "quantised as W4A8"),
        ({"quant_method": "modelopt"}, "nothing its config names"),
        ({"quant_method": "quark"}, "nothing it names"),
        ({"quant_method": "quark", "global_quant_config": {"weight": ["x"]}}, "nothing it names"),
        ({"quant_method": "gptq", "bits": "many"}, "integers of many bits"),
        (tensors({"weights": "x"}), "None bits of type int"),
        (tensors({"weights": INT8, "targets": ["transformer.h.0.attn.c_attn"]}), "none of its modules is found"),
        ({"quant_method": "modelopt", "config_groups": {"a": 1}}, "None bits of type int"),
        ({"quant_method": "modelopt", "quantized_layers": {"a": 1}}, "quantised as None"),
        (tensors({"weights": {"num_bits": 6, "type": "float"}}), "6 bits of type float"),
    ],
)
def test_what_is_not_understood_is_refused(section: object, reason: str) -> None:
    with pytest.raises(CannotModel, match=reason):
        parts(DENSE, section)


@pytest.mark.parametrize(
    ("dtype", "expected"), [("float16", "fp16"), ("torch.bfloat16", "bf16"), ("float32", "bf16")]
)
def test_what_is_not_quantised_is_served_in_16_bits(dtype: str, expected: str) -> None:
    assert card_of({**DENSE, "torch_dtype": dtype}, name="m").formats.embedding == expected


def plain() -> ModelCard:
    return card_of(DENSE, name="m", weight_bytes=100)


@pytest.mark.parametrize(
    ("method", "weights", "activations"),
    [
        ("fp8", Numbers.FP8, Numbers.FP8),
        ("fp8_per_block", Numbers.FP8_BLOCK, Numbers.FP8),
        ("bitsandbytes", Numbers.INT4, Numbers.BF16),
        ("nvfp4", Numbers.NVFP4, Numbers.NVFP4),
    ],
)
def test_an_engine_quantises_while_loading(method: str, weights: Numbers, activations: Numbers) -> None:
    card = quantized(plain(), method)

    assert (card.formats.mlp, card.formats.embedding, card.formats.activations, card.weight_bytes) == (
        weights,
        Numbers.BF16,
        activations,
        None,
    )


@pytest.mark.parametrize("method", ["none", "auto", ""])
def test_no_method_changes_nothing(method: str) -> None:
    assert quantized(plain(), method) == plain()


@pytest.mark.parametrize("method", ["gptq_marlin", "compressed-tensors", "fp8"])
def test_weights_that_are_quantised_already_stay_as_they_are(method: str) -> None:
    stored = card_of({**DENSE, "quantization_config": {"quant_method": "gptq", "bits": 4}}, name="m")

    assert quantized(stored, method) == stored


@pytest.mark.parametrize(
    ("method", "reason"), [("awq", "not stored like that"), ("magic", "cannot model m with quantization magic")]
)
def test_a_method_that_cannot_be_is_refused(method: str, reason: str) -> None:
    with pytest.raises(CannotModel, match=reason):
        quantized(plain(), method)
