"""From a setup to the limits of its scheduler."""

from __future__ import annotations

from enova.adapters.facts import gpu_card, model_card
from enova.core.engine.defaults import engine_setup
from enova.core.engine.kv_layout import KvGroup
from enova.core.engine.memory import memory_of
from enova.core.engine.model_card import AttentionKind
from enova.core.engine.setup import Speculation
from enova.core.simulate.limits import KvPages
from enova.core.simulate.limits_of import limits_of, pages_of

H100 = gpu_card("h100-sxm")
LLAMA = model_card("meta-llama/Llama-3.1-8B-Instruct")


def test_the_null_block_is_not_there_to_be_used() -> None:
    setup = engine_setup(LLAMA, H100)

    assert limits_of(setup).kv_blocks == memory_of(setup).kv_blocks - 1


def test_settings_are_handed_on() -> None:
    limits = limits_of(engine_setup(LLAMA, H100, vllm=(0, 11), max_model_len=4096, prefix_caching=False))

    assert (limits.max_num_seqs, limits.max_num_batched_tokens, limits.max_model_len) == (1024, 8192, 4096)
    assert (limits.prefix_caching, limits.reserve_full_prompt, limits.decide_ahead) == (False, False, False)


def test_data_parallel_ranks_are_counted_together() -> None:
    moe = model_card("Qwen/Qwen3-30B-A3B")
    one = engine_setup(moe, H100, data_parallel=4, expert_parallel=True)
    limits = limits_of(one)

    assert limits.max_num_seqs == 4 * one.max_num_seqs
    assert limits.kv_blocks == 4 * (memory_of(one).kv_blocks - 1)


def test_a_step_of_a_pipeline_has_a_batch_for_each_stage() -> None:
    one, staged = engine_setup(LLAMA, H100), engine_setup(LLAMA, H100, pipeline_parallel=2)
    limits = limits_of(staged)

    assert limits.max_num_batched_tokens == 2 * one.max_num_batched_tokens
    assert limits.max_num_seqs == one.max_num_seqs
    assert (staged.async_scheduling, limits.decide_ahead) == (True, False)


def test_windows_and_full_layers_have_tables_of_their_own() -> None:
    limits = limits_of(engine_setup(model_card("google/gemma-3-4b-it"), H100))

    assert limits.pages == KvPages(block_size=16, full_groups=1, window_groups=6, window_blocks=65)
    assert limits.pages.of(100_000) == 6250 + 6 * 65


def test_windows_are_counted_in_blocks_of_their_own() -> None:
    full = KvGroup(kind=AttentionKind.FULL, layers=5, block_size=16)
    sliding = KvGroup(kind=AttentionKind.SLIDING, layers=5, block_size=32, window_tokens=1024)

    assert pages_of((sliding, full)).of(100_000) == 6250 + 33


def test_recurrent_states_take_blocks_whatever_the_length() -> None:
    full = KvGroup(kind=AttentionKind.FULL, layers=12, block_size=544)
    state = KvGroup(kind=AttentionKind.LINEAR, layers=12, block_size=544, states=2)

    assert pages_of((state, state, state, full)).of(5440) == 10 + 6


def test_without_room_there_are_no_blocks() -> None:
    limits = limits_of(engine_setup(model_card("meta-llama/Llama-3.1-70B-Instruct"), H100))

    assert limits.kv_blocks == 0


def test_a_watermark_is_a_share_of_the_blocks() -> None:
    limits = limits_of(engine_setup(LLAMA, H100, watermark=0.01))

    assert limits.watermark_blocks == limits.kv_blocks // 100


def test_drafts_make_a_step_worth_more_tokens() -> None:
    drafting = Speculation(draft_tokens=2, acceptance=0.5, draft_share=0.0)

    assert limits_of(engine_setup(LLAMA, H100, speculation=drafting)).tokens_per_step == 1.75
