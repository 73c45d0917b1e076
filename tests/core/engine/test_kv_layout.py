"""How the KV cache is cut into blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enova.adapters.facts import gpu_card, model_card
from enova.core.engine.defaults import engine_setup
from enova.core.engine.kv_layout import kv_layout
from enova.core.engine.model_card import Attention, AttentionKind, ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.setup import Version

H100 = gpu_card("h100-sxm")
LLAMA = model_card("meta-llama/Llama-3.1-8B-Instruct")
OLD: Version = (0, 19)


def recurrent(full: int, linear: int, state_bytes: int) -> ModelCard:
    attention = LLAMA.attention[0]
    state = Attention(
        layers=linear,
        kind=AttentionKind.LINEAR,
        heads=32,
        kv_heads=16,
        head_dim=128,
        head_dim_v=128,
        state_bytes=state_bytes,
    )
    return replace(LLAMA, layers=full + linear, attention=(replace(attention, layers=full), state))


def test_a_block_holds_keys_and_values_of_every_layer() -> None:
    layout = kv_layout(engine_setup(LLAMA, H100))

    assert len(layout.groups) == 1
    assert layout.bytes_per_block == (16 * 2 * 8 * 128 * 2 * 32,)


@pytest.mark.parametrize(("ranks", "heads"), [(2, 4), (8, 1), (16, 1)])
def test_heads_are_shared_among_ranks_down_to_one(ranks: int, heads: int) -> None:
    layout = kv_layout(engine_setup(LLAMA, H100, tensor_parallel=ranks))

    assert layout.bytes_per_block == (16 * 2 * heads * 128 * 2 * 32,)


def test_fp8_halves_a_block() -> None:
    narrow = kv_layout(engine_setup(LLAMA, H100, kv_cache=Numbers.FP8))

    assert 2 * narrow.bytes_per_block[0] == kv_layout(engine_setup(LLAMA, H100)).bytes_per_block[0]


def test_latent_attention_caches_one_vector_the_same_on_every_rank() -> None:
    kimi = model_card("moonshotai/Kimi-K2.5")
    whole = kv_layout(engine_setup(kimi, H100, tensor_parallel=8))

    assert whole.bytes_per_block == (16 * 576 * 2 * 61,)


def test_sparse_attention_also_caches_what_its_indexer_looks_at() -> None:
    kimi = model_card("moonshotai/Kimi-K2.5")
    sparse = replace(kimi, attention=tuple(replace(entry, sparse_tokens=2048) for entry in kimi.attention))
    layout = kv_layout(engine_setup(sparse, H100))
    narrow = kv_layout(engine_setup(sparse, H100, kv_cache=Numbers.FP8))

    assert layout.block_size == 64
    assert layout.bytes_per_block == (64 * (576 * 2 + 132) * 61,)
    assert narrow.bytes_per_block == (64 * (656 + 132) * 61,)


@pytest.mark.parametrize(
    ("name", "groups", "layers"),
    [
        ("google/gemma-3-4b-it", 7, 5),
        ("google/gemma-2-27b-it", 2, 23),
        ("openai/gpt-oss-20b", 2, 12),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 4, 12),
    ],
)
def test_layers_of_two_kinds_are_dealt_into_groups_of_the_fewer(name: str, groups: int, layers: int) -> None:
    layout = kv_layout(engine_setup(model_card(name), H100, vllm=OLD))

    assert len(layout.groups) == groups
    assert max(group.layers for group in layout.groups) == layers


def test_kinds_of_nearly_as_many_layers_are_padded_to_the_more() -> None:
    gemma = model_card("google/gemma-2-9b-it")
    sliding, full = gemma.attention
    uneven = replace(gemma, layers=25, attention=(replace(sliding, layers=12), replace(full, layers=13)))
    layout = kv_layout(engine_setup(uneven, H100))

    page = 16 * full.kv_heads * 2 * full.head_dim * 2
    assert [group.layers for group in layout.groups] == [12, 13]
    assert layout.bytes_per_block == (13 * page,)


def test_smaller_pages_hold_more_tokens() -> None:
    gemma = model_card("google/gemma-2-9b-it")
    sliding, full = gemma.attention
    wide = replace(gemma, attention=(sliding, replace(full, head_dim=512, head_dim_v=512)))
    layout = kv_layout(engine_setup(wide, H100))

    assert [group.block_size for group in layout.groups] == [32, 16]


def test_a_window_holds_what_a_step_adds_and_newer_versions_two_steps() -> None:
    gemma = model_card("google/gemma-3-4b-it")
    old = kv_layout(engine_setup(gemma, H100, vllm=OLD))
    new = kv_layout(engine_setup(gemma, H100, vllm=(0, 32)))

    assert old.blocks(8192) == 512 + 6 * 513
    assert old.blocks(131_072) == 8192 + 6 * (-(-(1023 + 8192) // 16) + 1)
    assert new.blocks(131_072) == 8192 + 6 * (-(-(1023 + 2 * 8192) // 16) + 1)


def test_recurrent_states_fill_a_block_each_and_make_blocks_of_attention_larger() -> None:
    token = 2 * 8 * 128 * 2
    hybrid = recurrent(8, 24, state_bytes=100 * token)
    layout = kv_layout(engine_setup(hybrid, H100, vllm=OLD))
    caching = kv_layout(engine_setup(hybrid, H100, vllm=(0, 32)))

    assert layout.block_size == 112
    assert layout.bytes_per_block == (8 * 112 * token,)
    assert len(layout.groups) == 4
    assert layout.blocks(1120) == 10 + 3
    assert caching.blocks(1120) == 10 + 2 * 3


def test_stages_hold_their_share_of_the_layers() -> None:
    whole = kv_layout(engine_setup(LLAMA, H100)).bytes_per_block[0]
    parts = kv_layout(engine_setup(LLAMA, H100, pipeline_parallel=3)).bytes_per_block

    assert parts == (whole * 11 // 32, whole * 11 // 32, whole * 10 // 32)
