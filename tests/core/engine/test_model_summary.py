"""A model in a few figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from enova.core.engine.model_config import card_of
from enova.core.engine.model_summary import summary_of
from enova.core.engine.numbers import Numbers

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}


def test_a_dense_model_uses_all_but_its_embedding_for_each_token() -> None:
    summary = summary_of(card_of(LLAMA, name="m"))

    assert summary.parameters == pytest.approx(8.03e9, rel=1e-3)
    assert summary.active_parameters == summary.parameters - 128256 * 4096
    assert summary.weight_bytes == 2 * summary.parameters
    assert summary.kv_bytes_per_token == 32 * 8 * 256 * 2


def test_the_cache_may_be_narrower() -> None:
    card = card_of(LLAMA, name="m")
    asking = replace(card, kv_cache=Numbers.FP8)

    assert summary_of(card, kv_cache=Numbers.FP8).kv_bytes_per_token == 32 * 8 * 256
    assert summary_of(asking).kv_bytes_per_token == 32 * 8 * 256


def test_what_is_stored_is_believed() -> None:
    summary = summary_of(card_of(LLAMA, name="m", parameters=8, weight_bytes=9))

    assert (summary.parameters, summary.weight_bytes) == (8, 9)


def test_experts_that_are_not_visited_do_not_count_as_active() -> None:
    moe = {**LLAMA, "architectures": ["MixtralForCausalLM"], "num_local_experts": 8, "num_experts_per_tok": 2}
    summary = summary_of(card_of(moe, name="mixtral"))

    idle = 6 * 32 * 3 * 4096 * 14336
    assert summary.active_parameters == pytest.approx(summary.parameters - idle - 128256 * 4096)


def test_windows_latents_and_states_are_told_apart() -> None:
    windows = summary_of(
        card_of({**LLAMA, "architectures": ["GptOssForCausalLM"], "sliding_window": 128}, name="windows")
    )
    hybrid = summary_of(
        card_of(
            {**LLAMA, "architectures": ["MiniMaxM1ForCausalLM"], "head_dim": 128, "attn_type_list": [0, 1] * 16},
            name="hybrid",
        )
    )
    latent = summary_of(
        card_of(
            {
                **LLAMA,
                "architectures": ["DeepseekV2ForCausalLM"],
                "kv_lora_rank": 512,
                "qk_rope_head_dim": 64,
                "qk_nope_head_dim": 128,
                "v_head_dim": 128,
            },
            name="latent",
        )
    )

    half = 16 * 8 * 256 * 2
    assert (windows.kv_bytes_per_token, windows.window_kv_bytes_per_token, windows.state_bytes) == (half, half, 0)
    assert (hybrid.kv_bytes_per_token, hybrid.state_bytes) == (half, 16 * 32 * 128 * 128 * 4)
    assert latent.kv_bytes_per_token == 32 * 576 * 2
