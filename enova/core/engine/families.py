"""Architectures Enova understands: what their `config.json` leaves unsaid, by the class it names.

Defaults are those of the configuration classes in transformers (Apache-2.0), which leave them out of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Layout(StrEnum):
    """Where a family's layers look, unless `layer_types` in its config says so."""

    UNIFORM = "uniform"
    """All layers alike: full, or sliding where a window is set."""
    LAST_OF_PERIOD = "last of a period"
    """Every n-th layer is full, those before it slide."""
    FROM_LAYER = "from a layer on"
    """Layers from `max_window_layers` on slide."""
    CHUNKED = "chunked"
    """Llama 4: layers with rotary positions see their chunk only."""
    LATENT = "latent"
    """Multi-head latent attention."""
    HYBRID = "hybrid"
    """Some layers keep a recurrent state in place of a KV cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What goes without saying in the config.json of an architecture."""

    layout: Layout = Layout.UNIFORM
    gated: bool = True
    norms_all_heads: bool = False
    """Queries and keys are normed over all heads together, not head by head."""
    wide_router: bool = False
    """vLLM multiplies the router of its experts in FP32."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Keys that may be left out, and what they are then."""


def _tied(**defaults: Any) -> Mapping[str, Any]:
    return {"tie_word_embeddings": True, **defaults}


_LLAMA = Family()
_ALL_HEADS = Family(norms_all_heads=True)
_TIED = Family(defaults=_tied())
_QWEN = Family(layout=Layout.FROM_LAYER, defaults={"use_sliding_window": False})
_PLAIN = Family(gated=False)
_PLAIN_TIED = Family(gated=False, defaults=_tied())
_LATENT = Family(layout=Layout.LATENT)
_HYBRID = Family(layout=Layout.HYBRID)
_NEXT = Family(layout=Layout.HYBRID, defaults={"full_attention_interval": 4})
_GEMMA = Family(defaults=_tied(head_dim=256))
_GEMMA2 = Family(layout=Layout.LAST_OF_PERIOD, defaults=_tied(head_dim=256, sliding_window_pattern=2))
_GEMMA3 = Family(
    layout=Layout.LAST_OF_PERIOD,
    defaults=_tied(
        head_dim=256,
        num_attention_heads=8,
        num_key_value_heads=4,
        vocab_size=262208,
        max_position_embeddings=131072,
        sliding_window_pattern=6,
    ),
)
_GEMMA4 = Family(
    layout=Layout.LAST_OF_PERIOD,
    defaults=_tied(
        head_dim=256,
        global_head_dim=512,
        num_attention_heads=8,
        num_key_value_heads=4,
        vocab_size=262144,
        max_position_embeddings=131072,
        sliding_window=512,
        sliding_window_pattern=6,
        hidden_size_per_layer_input=256,
    ),
)
_LLAMA4 = Family(layout=Layout.CHUNKED, defaults={"interleave_moe_layer_step": 1, "attention_chunk_size": 8192})
_GPT_OSS = Family(layout=Layout.LAST_OF_PERIOD, defaults={"sliding_window_pattern": 2})
_COHERE2 = Family(layout=Layout.LAST_OF_PERIOD, defaults=_tied(sliding_window_pattern=4))
_GRANITE_HYBRID = Family(layout=Layout.HYBRID)

FAMILIES: Mapping[str, Family] = {
    # Llama and those built like it.
    "AquilaForCausalLM": _LLAMA,
    "BaiChuanForCausalLM": _LLAMA,
    "BaichuanForCausalLM": _LLAMA,
    "InternLM2ForCausalLM": _LLAMA,
    "InternLM3ForCausalLM": _LLAMA,
    "InternLMForCausalLM": _LLAMA,
    "InternVLChatModel": _LLAMA,
    "LLaMAForCausalLM": _LLAMA,
    "LlamaForCausalLM": _LLAMA,
    "LlavaForConditionalGeneration": _LLAMA,
    "LlavaNextForConditionalGeneration": _LLAMA,
    "MiMoForCausalLM": _LLAMA,
    "Mistral3ForConditionalGeneration": _LLAMA,
    "MistralForCausalLM": _LLAMA,
    "OrionForCausalLM": _LLAMA,
    "SeedOssForCausalLM": _LLAMA,
    "SolarForCausalLM": _LLAMA,
    "StableLmForCausalLM": _LLAMA,
    "TeleChat2ForCausalLM": _LLAMA,
    "XverseForCausalLM": _LLAMA,
    "YiForCausalLM": _LLAMA,
    "Ernie4_5ForCausalLM": _TIED,
    "Ernie4_5_ForCausalLM": _TIED,
    "ExaoneForCausalLM": _TIED,
    "MiniCPMForCausalLM": _TIED,
    "SmolLM3ForCausalLM": _TIED,
    "HunYuanDenseV1ForCausalLM": _TIED,
    "Exaone4ForCausalLM": Family(layout=Layout.LAST_OF_PERIOD, defaults={"sliding_window_pattern": 4}),
    # Qwen, where a window is written down but mostly off.
    "QWenLMHeadModel": Family(defaults={"no_bias": True}),
    "Qwen2ForCausalLM": _QWEN,
    "Qwen2MoeForCausalLM": _QWEN,
    "Qwen2VLForConditionalGeneration": _QWEN,
    "Qwen2_5_VLForConditionalGeneration": _QWEN,
    "Qwen3ForCausalLM": _QWEN,
    "Qwen3MoeForCausalLM": _QWEN,
    "Qwen3VLForConditionalGeneration": _QWEN,
    "Qwen3VLMoeForConditionalGeneration": _QWEN,
    "Qwen3NextForCausalLM": _NEXT,
    "Qwen3_5ForCausalLM": _NEXT,
    "Qwen3_5ForConditionalGeneration": _NEXT,
    "Qwen3_5MoeForCausalLM": _NEXT,
    "Qwen3_5MoeForConditionalGeneration": _NEXT,
    # Gemma.
    "GemmaForCausalLM": _GEMMA,
    "Gemma2ForCausalLM": _GEMMA2,
    "Gemma3ForCausalLM": _GEMMA3,
    "Gemma3ForConditionalGeneration": _GEMMA3,
    "Gemma4ForCausalLM": _GEMMA4,
    "Gemma4ForConditionalGeneration": _GEMMA4,
    # Phi, GLM, Granite, OLMo, Cohere.
    "PhiForCausalLM": _PLAIN,
    "Phi3ForCausalLM": _LLAMA,
    "PhiMoEForCausalLM": _LLAMA,
    "GlmForCausalLM": _LLAMA,
    "Glm4ForCausalLM": _LLAMA,
    "Glm4MoeForCausalLM": Family(wide_router=True),
    "Glm4vForConditionalGeneration": _LLAMA,
    "Glm4vMoeForConditionalGeneration": _LLAMA,
    "ChatGLMModel": _LLAMA,
    "ChatGLMForConditionalGeneration": _LLAMA,
    "GraniteForCausalLM": _LLAMA,
    "GraniteMoeForCausalLM": _LLAMA,
    "GraniteMoeSharedForCausalLM": _LLAMA,
    "GraniteMoeHybridForCausalLM": _GRANITE_HYBRID,
    "OlmoForCausalLM": _LLAMA,
    "Olmo2ForCausalLM": _ALL_HEADS,
    "Olmo3ForCausalLM": Family(
        layout=Layout.LAST_OF_PERIOD, norms_all_heads=True, defaults={"sliding_window_pattern": 4}
    ),
    "OlmoeForCausalLM": _ALL_HEADS,
    "CohereForCausalLM": _TIED,
    "Cohere2ForCausalLM": _COHERE2,
    # Mixtures of experts.
    "MixtralForCausalLM": _LLAMA,
    "MiniMaxM2ForCausalLM": Family(norms_all_heads=True, wide_router=True),
    "MiMoV2FlashForCausalLM": _LLAMA,
    "GptOssForCausalLM": _GPT_OSS,
    "Dots1ForCausalLM": _LLAMA,
    "BailingMoeForCausalLM": _LLAMA,
    "BailingMoeV2ForCausalLM": _LLAMA,
    "Ernie4_5_MoeForCausalLM": _TIED,
    "HunYuanMoEV1ForCausalLM": _TIED,
    "DbrxForCausalLM": _LLAMA,
    "Llama4ForCausalLM": _LLAMA4,
    "Llama4ForConditionalGeneration": _LLAMA4,
    # Latent attention.
    "DeepseekForCausalLM": _LLAMA,
    "DeepseekV2ForCausalLM": _LATENT,
    "DeepseekV3ForCausalLM": _LATENT,
    "DeepseekV32ForCausalLM": _LATENT,
    "Glm4MoeLiteForCausalLM": _LATENT,
    "GlmMoeDsaForCausalLM": _LATENT,
    "KimiK25ForConditionalGeneration": _LATENT,
    "KimiVLForConditionalGeneration": _LATENT,
    "MiniCPM3ForCausalLM": Family(layout=Layout.LATENT, defaults=_tied()),
    # Recurrent layers among the others.
    "BambaForCausalLM": _HYBRID,
    "JambaForCausalLM": Family(layout=Layout.HYBRID, defaults={"attn_layer_period": 8, "attn_layer_offset": 4}),
    "NemotronHForCausalLM": Family(layout=Layout.HYBRID, gated=False),
    "MiniMaxForCausalLM": _HYBRID,
    "MiniMaxM1ForCausalLM": _HYBRID,
    "MiniMaxText01ForCausalLM": _HYBRID,
    # Two matrices in the MLP.
    "ArceeForCausalLM": _PLAIN,
    "BloomForCausalLM": _PLAIN_TIED,
    "FalconForCausalLM": _PLAIN_TIED,
    "GPT2LMHeadModel": _PLAIN_TIED,
    "GPTBigCodeForCausalLM": _PLAIN_TIED,
    "GPTJForCausalLM": _PLAIN,
    "GPTNeoXForCausalLM": _PLAIN,
    "MPTForCausalLM": _PLAIN_TIED,
    "MptForCausalLM": _PLAIN_TIED,
    "NemotronForCausalLM": _PLAIN,
    "OPTForCausalLM": _PLAIN_TIED,
    "Starcoder2ForCausalLM": _PLAIN_TIED,
}

REFUSED: Mapping[str, str] = {
    "ArcticForCausalLM": "a dense MLP and experts of other sizes stand side by side in its layers",
    "BartForConditionalGeneration": "it is an encoder and a decoder",
    "BertModel": "it does not generate text",
    "DeciLMForCausalLM": "its layers differ in heads and MLP size, and some have no attention at all",
    "DeepseekV4ForCausalLM": "its compressed attention caches tokens at several rates",
    "FalconH1ForCausalLM": "attention and a state stand side by side in its layers",
    "FalconMambaForCausalLM": "it has no attention",
    "Gemma3nForCausalLM": "its layers share KV caches and nest MLPs of several sizes",
    "Gemma3nForConditionalGeneration": "its layers share KV caches and nest MLPs of several sizes",
    "KimiK3ForConditionalGeneration": "it mixes latent attention with linear attention",
    "KimiLinearForCausalLM": "it mixes latent attention with linear attention",
    "Mamba2ForCausalLM": "it has no attention",
    "MambaForCausalLM": "it has no attention",
    "MiniMaxM3ForCausalLM": "its sparse attention picks blocks in a way that is not modelled",
    "MiniMaxM3SparseForConditionalGeneration": "its sparse attention picks blocks in a way that is not modelled",
    "MllamaForConditionalGeneration": "its layers of cross attention look at pictures",
    "T5ForConditionalGeneration": "it is an encoder and a decoder",
    "WhisperForConditionalGeneration": "it is an encoder and a decoder",
}
"""Architectures that are known, and why a model card cannot describe them."""
