"""Cards of real models, read from their config.json as published (shortened to the keys that matter)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enova.core.engine.families import FAMILIES, REFUSED
from enova.core.engine.model_card import Attention, AttentionKind, Experts, Latent, ModelCard
from enova.core.engine.model_config import card_of
from enova.core.engine.numbers import Numbers
from enova.core.engine.weights import parameters_of
from enova.errors import CannotModel

Config = dict[str, Any]
FULL, SLIDING, LINEAR = AttentionKind.FULL, AttentionKind.SLIDING, AttentionKind.LINEAR

LLAMA: Config = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "rope_scaling": {"factor": 8.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
    "torch_dtype": "bfloat16",
}
QWEN3_MOE: Config = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "sliding_window": None,
    "use_sliding_window": False,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
}
DEEPSEEK: Config = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 2048,
    "moe_layer_freq": 1,
    "first_k_dense_replace": 3,
    "vocab_size": 129280,
    "max_position_embeddings": 163840,
    "rope_scaling": {"factor": 40, "original_max_position_embeddings": 4096, "type": "yarn"},
}
GEMMA3: Config = {
    # Heads, head size and vocabulary of the 4b are the defaults of its class and not in its config.json.
    "architectures": ["Gemma3ForConditionalGeneration"],
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "patch_size": 14},
}


def card(config: Config, **changes: Any) -> ModelCard:
    return card_of({**config, **changes}, name="m")


def layout(found: ModelCard) -> list[tuple[int, AttentionKind, int | None]]:
    return [(entry.layers, entry.kind, entry.window_tokens) for entry in found.attention]


def test_a_dense_model() -> None:
    assert card_of(LLAMA, name="llama") == ModelCard(
        name="llama",
        architecture="LlamaForCausalLM",
        layers=32,
        hidden_size=4096,
        intermediate_size=14336,
        vocab_size=128256,
        tied_embeddings=False,
        attention=(Attention(layers=32, heads=32, kv_heads=8, head_dim=128, head_dim_v=128),),
        formats=card(LLAMA).formats,
        max_model_len=131072,
    )


def test_experts_take_the_place_of_dense_layers() -> None:
    found = card(QWEN3_MOE)

    assert found.experts == Experts(layers=48, count=128, per_token=8, intermediate_size=768)
    assert found.intermediate_size == 0


def test_layers_that_stay_dense_keep_their_width() -> None:
    found = card(QWEN3_MOE, mlp_only_layers=[0, 5], decoder_sparse_step=2)

    assert (found.experts and found.experts.layers, found.intermediate_size) == (23, 6144)


def test_latent_attention_with_shared_experts() -> None:
    found = card(DEEPSEEK)

    assert found.latent == Latent(q_rank=1536, kv_rank=512, nope_dim=128, rope_dim=64, v_dim=128)
    assert found.attention == (Attention(layers=61, heads=128, kv_heads=128, head_dim=192, head_dim_v=128),)
    assert found.experts == Experts(
        layers=58, count=256, per_token=8, intermediate_size=2048, shared_intermediate_size=2048
    )


def test_sparse_attention_picks_so_many_tokens() -> None:
    found = card(DEEPSEEK, architectures=["DeepseekV32ForCausalLM"], index_topk=2048)

    assert found.attention[0].sparse_tokens == 2048


def test_a_multimodal_model_is_read_from_its_text_section_and_brings_its_tower() -> None:
    found = card(GEMMA3)

    assert layout(found) == [(29, SLIDING, 1024), (5, FULL, None)]
    assert (found.attention[0].heads, found.attention[0].kv_heads, found.attention[0].head_dim) == (8, 4, 256)
    assert (found.vocab_size, found.tied_embeddings, found.max_model_len) == (262208, True, 131072)
    assert found.vision_parameters == pytest.approx(417e6, rel=0.03)  # 4.30 B in all, of which 3.88 B are text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"architectures": ["MistralForCausalLM"], "sliding_window": 4096}, [(32, SLIDING, 4096)]),
        ({"architectures": ["MistralForCausalLM"], "sliding_window": None}, [(32, FULL, None)]),
        ({"architectures": ["Phi3ForCausalLM"], "sliding_window": 262144}, [(32, FULL, None)]),
        ({"architectures": ["Qwen2ForCausalLM"], "sliding_window": 4096}, [(32, FULL, None)]),
        (
            {
                "architectures": ["Qwen2ForCausalLM"],
                "sliding_window": 4096,
                "use_sliding_window": True,
                "max_window_layers": 28,
            },
            [(28, FULL, None), (4, SLIDING, 4096)],
        ),
        (
            {"architectures": ["Gemma2ForCausalLM"], "sliding_window": 4096},
            [(16, SLIDING, 4096), (16, FULL, None)],
        ),
        (
            {"architectures": ["Cohere2ForCausalLM"], "sliding_window": 4096},
            [(24, SLIDING, 4096), (8, FULL, None)],
        ),
        (
            {"architectures": ["Exaone4ForCausalLM"], "sliding_window": 4096, "sliding_window_pattern": "LLLG"},
            [(24, SLIDING, 4096), (8, FULL, None)],
        ),
        (
            {"architectures": ["GptOssForCausalLM"], "sliding_window": 128},
            [(16, SLIDING, 128), (16, FULL, None)],
        ),
        (
            {"layer_types": ["full_attention"] * 2 + ["sliding_attention"] * 30, "sliding_window": 512},
            [(2, FULL, None), (30, SLIDING, 512)],
        ),
        (
            {"architectures": ["Llama4ForCausalLM"], "attention_chunk_size": 8192},
            [(24, SLIDING, 8192), (8, FULL, None)],
        ),
        (
            {"architectures": ["Llama4ForCausalLM"], "attention_chunk_size": 8192, "no_rope_layers": [1, 0] * 16},
            [(16, SLIDING, 8192), (16, FULL, None)],
        ),
    ],
)
def test_windows_follow_the_pattern_of_the_family(
    changes: Config, expected: list[tuple[int, AttentionKind, int | None]]
) -> None:
    assert layout(card(LLAMA, **changes)) == expected


def test_sliding_layers_may_have_heads_of_their_own() -> None:
    found = card(
        LLAMA,
        architectures=["MiMoV2FlashForCausalLM"],
        num_hidden_layers=4,
        hybrid_layer_pattern=[0, 1, 1, 1],
        head_dim=192,
        v_head_dim=128,
        num_key_value_heads=4,
        swa_num_key_value_heads=8,
        swa_head_dim=192,
        swa_v_head_dim=128,
        sliding_window=128,
    )

    assert [(a.layers, a.kv_heads, a.head_dim, a.head_dim_v) for a in found.attention] == [
        (1, 4, 192, 128),
        (3, 8, 192, 128),
    ]


def test_full_layers_of_gemma_4_are_wider_and_its_last_layers_have_no_cache_of_their_own() -> None:
    found = card_of(
        {
            "architectures": ["Gemma4ForConditionalGeneration"],
            "text_config": {
                "hidden_size": 2560,
                "num_hidden_layers": 42,
                "intermediate_size": 10240,
                "num_attention_heads": 8,
                "num_key_value_heads": 2,
                "num_kv_shared_layers": 18,
            },
        },
        name="google/gemma-4-E4B-it",
    )

    assert [(a.layers, a.kind, a.head_dim, a.kv_heads, a.shares_cache) for a in found.attention] == [
        (20, SLIDING, 256, 2, False),
        (4, FULL, 512, 2, False),
        (15, SLIDING, 256, 2, True),
        (3, FULL, 512, 2, True),
    ]
    assert found.vision_parameters == pytest.approx(2.9e9, rel=0.02)  # embeddings of each layer


def test_a_mlp_beside_the_experts_is_visited_by_every_token() -> None:
    found = card(
        LLAMA,
        architectures=["Gemma4ForCausalLM"],
        enable_moe_block=True,
        num_experts=128,
        top_k_experts=8,
        moe_intermediate_size=704,
        intermediate_size=2112,
        hidden_size_per_layer_input=0,
    )

    assert found.experts == Experts(
        layers=32, count=128, per_token=8, intermediate_size=704, shared_intermediate_size=2112
    )


def test_recurrent_layers_keep_a_state_instead_of_a_cache() -> None:
    found = card(
        LLAMA,
        architectures=["Qwen3NextForCausalLM"],
        num_hidden_layers=48,
        linear_num_value_heads=32,
        linear_num_key_heads=16,
        linear_key_head_dim=128,
        linear_value_head_dim=128,
        linear_conv_kernel_dim=4,
    )

    assert layout(found) == [(36, LINEAR, None), (12, FULL, None)]
    # 32 heads of 128 x 128 and three inputs of the convolution over 8192 channels, two bytes each.
    assert found.attention[0].state_bytes == 2 * (32 * 128 * 128 + 3 * 8192)


@pytest.mark.parametrize(
    "says_which_layers_attend",
    [
        {"layer_types": ["mamba"] * 3 + ["attention"]},
        {"attn_type_list": [0, 0, 0, 1]},
        {"attn_layer_indices": [3]},
        {"attn_layer_period": 4, "attn_layer_offset": 3},
    ],
)
def test_hybrids_say_in_many_ways_which_layers_attend(says_which_layers_attend: Config) -> None:
    found = card(
        LLAMA,
        architectures=["GraniteMoeHybridForCausalLM"],
        num_hidden_layers=4,
        mamba_n_heads=48,
        mamba_d_head=64,
        mamba_n_groups=1,
        mamba_d_state=128,
        **says_which_layers_attend,
    )

    assert layout(found) == [(3, LINEAR, None), (1, FULL, None)]
    assert found.attention[0].state_bytes == 2 * (48 * 64 * 128 + 3 * (48 * 64 + 2 * 128))


def test_lightning_attention_keeps_a_square_for_each_head() -> None:
    found = card(
        LLAMA,
        architectures=["MiniMaxM1ForCausalLM"],
        num_hidden_layers=2,
        head_dim=128,
        attn_type_list=[0, 1],
        num_local_experts=32,
        num_experts_per_tok=2,
    )

    assert found.attention[0].state_bytes == 4 * 32 * 128 * 128


def test_mamba_layers_of_jamba() -> None:
    found = card(
        LLAMA,
        architectures=["JambaForCausalLM"],
        num_experts=16,
        num_experts_per_tok=2,
        expert_layer_period=2,
        expert_layer_offset=1,
        mamba_d_state=16,
        mamba_expand=2,
    )

    assert layout(found) == [(28, LINEAR, None), (4, FULL, None)]
    assert found.attention[0].state_bytes == 2 * (8192 * 16 + 3 * 8192)
    assert found.experts is not None
    assert found.experts.layers == 16


@pytest.mark.parametrize(
    "order",
    [
        {"hybrid_override_pattern": "MEM*E-"},
        {"layers_block_type": ["mamba", "moe", "mamba", "attention", "moe", "mlp"]},
    ],
)
def test_one_layer_of_nemotron_h_is_what_mixes_tokens_with_what_follows(order: Config) -> None:
    found = card(
        LLAMA,
        architectures=["NemotronHForCausalLM"],
        **order,
        mamba_ssm_cache_dtype="float32",
        intermediate_size=1000,
        mamba_num_heads=64,
        mamba_head_dim=64,
        n_groups=8,
        ssm_state_size=128,
        n_routed_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=100,
        n_shared_experts=1,
        moe_shared_expert_intermediate_size=300,
    )

    assert (found.layers, layout(found)) == (3, [(2, LINEAR, None), (1, FULL, None)])
    assert found.experts == Experts(
        layers=2, count=8, per_token=2, intermediate_size=100, shared_intermediate_size=300
    )
    assert (found.intermediate_size, found.gated) == (1000, False)
    assert found.attention[0].state_bytes == 4 * 64 * 64 * 128 + 2 * 3 * (64 * 64 + 2 * 8 * 128)


def test_heads_of_mamba_fill_the_inner_width_unless_their_size_is_given() -> None:
    found = card(
        LLAMA,
        architectures=["BambaForCausalLM"],
        num_hidden_layers=2,
        attn_layer_indices=[1],
        mamba_n_heads=128,
        mamba_d_head="auto",
        mamba_d_state=128,
    )

    assert found.attention[0].head_dim_v == 64


def test_an_audio_tower_is_counted_too() -> None:
    assert card(LLAMA, audio_config={"num_hidden_layers": 2}).vision_parameters == 2 * 23 * 1024 * 1024


def test_a_tower_that_says_nothing_of_itself_is_not_counted() -> None:
    assert card(LLAMA, vision_config={"model_type": "unknown"}).vision_parameters == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Experts(layers=32, count=8, per_token=2, intermediate_size=14336)),
        (
            {"architectures": ["Qwen2MoeForCausalLM"], "shared_expert_intermediate_size": 5632},
            Experts(layers=32, count=8, per_token=2, intermediate_size=14336, shared_intermediate_size=5632),
        ),
        (
            {
                "architectures": ["Llama4ForCausalLM"],
                "intermediate_size_mlp": 16384,
                "interleave_moe_layer_step": 2,
            },
            Experts(layers=16, count=8, per_token=2, intermediate_size=14336, shared_intermediate_size=14336),
        ),
        (
            {"mlp_layer_types": ["dense"] + ["sparse"] * 31, "n_shared_experts": 2, "moe_intermediate_size": 100},
            Experts(layers=31, count=8, per_token=2, intermediate_size=100, shared_intermediate_size=200),
        ),
        ({"moe_layer_freq": [0] + [1] * 31}, Experts(layers=31, count=8, per_token=2, intermediate_size=14336)),
        ({"moe_layers": [1, 3]}, Experts(layers=2, count=8, per_token=2, intermediate_size=14336)),
        (
            {"architectures": ["HunYuanMoEV1ForCausalLM"], "num_experts_per_tok": None, "moe_topk": [2] * 32},
            Experts(layers=32, count=8, per_token=2, intermediate_size=14336),
        ),
    ],
)
def test_experts_of_many_families(changes: Config, expected: Experts) -> None:
    moe = {"architectures": ["MixtralForCausalLM"], "num_local_experts": 8, "num_experts_per_tok": 2}

    assert card(LLAMA, **{**moe, **changes}).experts == expected


def test_dbrx_keeps_its_sizes_apart() -> None:
    found = card_of(
        {
            "architectures": ["DbrxForCausalLM"],
            "d_model": 6144,
            "n_heads": 48,
            "n_layers": 40,
            "max_seq_len": 32768,
            "vocab_size": 100352,
            "attn_config": {"kv_n_heads": 8},
            "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4},
        },
        name="databricks/dbrx-instruct",
    )

    assert found.attention[0].kv_heads == 8
    assert found.experts == Experts(layers=40, count=16, per_token=4, intermediate_size=10752)
    assert parameters_of(found).total == pytest.approx(131.6e9, rel=0.01)


@pytest.mark.parametrize(
    ("config", "billions"),
    [
        (LLAMA, 8.030),
        (QWEN3_MOE, 30.53),
        (DEEPSEEK, 671.0),
        (
            {
                "architectures": ["GPT2LMHeadModel"],
                "n_embd": 768,
                "n_layer": 12,
                "n_head": 12,
                "n_positions": 1024,
                "vocab_size": 50257,
            },
            0.124,
        ),
        (
            {
                "architectures": ["OPTForCausalLM"],
                "hidden_size": 2048,
                "ffn_dim": 8192,
                "num_hidden_layers": 24,
                "num_attention_heads": 32,
                "max_position_embeddings": 2048,
                "vocab_size": 50272,
            },
            1.316,
        ),
        (
            {
                "architectures": ["FalconForCausalLM"],
                "hidden_size": 4544,
                "num_hidden_layers": 32,
                "num_attention_heads": 71,
                "multi_query": True,
                "max_position_embeddings": 2048,
                "vocab_size": 65024,
            },
            6.92,
        ),
        (
            {
                "architectures": ["ChatGLMModel"],
                "hidden_size": 4096,
                "ffn_hidden_size": 13696,
                "num_layers": 40,
                "num_attention_heads": 32,
                "kv_channels": 128,
                "multi_query_attention": True,
                "multi_query_group_num": 2,
                "padded_vocab_size": 151552,
                "seq_length": 131072,
            },
            9.40,
        ),
    ],
)
def test_the_parameters_come_out_as_published(config: Config, billions: float) -> None:
    assert parameters_of(card(config)).total / 1e9 == pytest.approx(billions, rel=0.01)


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [
        ({"factor": 4.0, "original_max_position_embeddings": 32768, "rope_type": "yarn"}, 131072),
        ({"factor": 2.0, "type": "linear"}, 262144),
        ({"long_factor": [1.0], "type": "longrope"}, 131072),
        ({"rope_theta": 1e6, "rope_type": "default"}, 131072),
        ({"full_attention": {"rope_type": "proportional"}}, 131072),
        (None, 131072),
    ],
)
def test_rope_scaling_stretches_the_length(scaling: Config | None, expected: int) -> None:
    assert card(LLAMA, rope_scaling=scaling).max_model_len == expected


def test_everything_that_is_missing_or_wrong_is_named_at_once() -> None:
    broken = {**LLAMA, "num_attention_heads": "32", "tie_word_embeddings": "no"}
    del broken["hidden_size"], broken["vocab_size"]

    with pytest.raises(CannotModel) as refused:
        card_of(broken, name="org/broken")

    assert refused.value.message == (
        "cannot model org/broken because its config.json lacks hidden_size, vocab_size; "
        "has num_attention_heads: '32'; has tie_word_embeddings: 'no'"
    )


@pytest.mark.parametrize("layers", [1e16, 10**12, -1, 2.5, float("nan")])
def test_more_layers_than_any_model_has_are_not_counted_up_to(layers: float) -> None:
    with pytest.raises(CannotModel, match="has num_hidden_layers"):
        card(LLAMA, num_hidden_layers=layers)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"layer_types": ["full_attention"]}, "has layer_types: 1 entries, not 32"),
        ({"num_hidden_layers": 0}, "has num_hidden_layers: 0"),
        (
            {"num_local_experts": 8, "num_experts_per_tok": 2, "expert_layer_period": [0]},
            "has expert_layer_period: 0",
        ),
        ({"ffn_config": {"moe_num_experts": 8}}, "lacks ffn_config.moe_top_k, ffn_config.ffn_hidden_size"),
    ],
)
def test_values_that_no_model_can_have_are_named(changes: Config, fault: str) -> None:
    with pytest.raises(CannotModel) as refused:
        card(LLAMA, **changes)

    assert fault in refused.value.message


def test_a_hybrid_that_does_not_say_which_layers_attend_is_refused() -> None:
    with pytest.raises(CannotModel, match="lacks layer_types"):
        card(LLAMA, architectures=["BambaForCausalLM"], mamba_n_heads=8, mamba_d_state=16)


def test_experts_in_a_narrower_space_are_refused() -> None:
    with pytest.raises(CannotModel, match="narrower"):
        card(QWEN3_MOE, moe_latent_size=1024)


@pytest.mark.parametrize("architectures", [None, [], "LlamaForCausalLM"])
def test_a_config_without_an_architecture_is_refused(architectures: object) -> None:
    with pytest.raises(CannotModel, match="lacks architectures"):
        card(LLAMA, architectures=architectures)


def test_an_unknown_architecture_is_named_with_its_nearest_kin() -> None:
    with pytest.raises(CannotModel) as refused:
        card(LLAMA, architectures=["Qwen9ForCausalLM"])

    assert (
        "does not know its architecture, Qwen9ForCausalLM; the nearest it knows is Qwen" in refused.value.message
    )


@pytest.mark.parametrize("architecture", sorted(REFUSED))
def test_an_architecture_that_cannot_be_described_is_refused_with_the_reason(architecture: str) -> None:
    with pytest.raises(CannotModel, match=r"cannot model m \(.+\) because .{10,}"):
        card(LLAMA, architectures=[architecture])


@pytest.mark.parametrize("architecture", sorted(FAMILIES))
def test_whatever_a_known_architecture_lacks_is_a_clear_word_and_no_crash(architecture: str) -> None:
    with pytest.raises(CannotModel, match=r"cannot model m because its config\.json lacks"):
        card_of({"architectures": [architecture]}, name="m")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(FAMILIES)),
    st.dictionaries(
        st.sampled_from(sorted({*LLAMA, *QWEN3_MOE, *DEEPSEEK, "layer_types", "vision_config"})),
        st.none() | st.integers(-2, 70) | st.text(max_size=3) | st.lists(st.integers(0, 1), max_size=3)
        | st.booleans() | st.floats(allow_nan=True) | st.dictionaries(st.just("factor"), st.integers(0, 3)),
    ),
)  # fmt: skip
def test_nonsense_is_refused_or_read_but_never_crashes(architecture: str, nonsense: Config) -> None:
    try:
        found = card_of({**LLAMA, **nonsense, "architectures": [architecture]}, name="m")
    except CannotModel:
        return
    assert sum(entry.layers for entry in found.attention) == found.layers


def test_sizes_from_the_files_are_kept() -> None:
    found = card_of(LLAMA, name="m", parameters=1, weight_bytes=2)

    assert (found.parameters, found.weight_bytes, found.formats.embedding) == (1, 2, Numbers.BF16)
