"""Any Hugging Face `config.json` as a model card, or a clear word on why not."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from enova.core.engine.attention_layout import alternation_of, attention_layout, latent_of, max_model_len_of
from enova.core.engine.config_keys import LAYERS_MOST, ConfigKeys
from enova.core.engine.expert_layout import experts_of
from enova.core.engine.families import FAMILIES, REFUSED, Family, Layout
from enova.core.engine.model_card import Attention, Experts, ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.quantization import formats_of, kv_cache_of
from enova.core.engine.vision_tower import audio_parameters, per_layer_parameters, vision_parameters
from enova.errors import CannotModel


def card_of(
    config: Mapping[str, Any],
    *,
    name: str,
    parameters: int | None = None,
    weight_bytes: int | None = None,
) -> ModelCard:
    """Return the card of the model a `config.json` describes.

    Args:
        config: the parsed file; of a multimodal model with the language model in `text_config` or its like.
        name: what the model is called.
        parameters: as stored in the safetensors files, where that is known.
        weight_bytes: the same.

    Raises:
        CannotModel: the architecture or the quantisation is not understood, or keys are missing; all are named.
    """
    architecture = _architecture(config, name)
    family = _family(architecture, name)
    keys = ConfigKeys(config, name=name, defaults=family.defaults)
    hidden_size = keys.number("hidden_size", "n_embd", "d_model", "model_dim")
    stack = _stack(keys, family)
    max_model_len = max_model_len_of(keys)
    vocab_size = keys.number("vocab_size", "padded_vocab_size")
    formats = formats_of(keys, stack.layers)
    tied = keys.flag("tie_word_embeddings", default=False)
    keys.check()
    return ModelCard(
        name=name,
        architecture=architecture,
        layers=stack.layers,
        hidden_size=hidden_size,
        intermediate_size=stack.intermediate_size,
        gated=family.gated,
        norms_all_heads=family.norms_all_heads,
        vocab_size=vocab_size,
        tied_embeddings=tied,
        attention=stack.attention,
        latent=latent_of(keys) if family.layout is Layout.LATENT else None,
        experts=_routed(stack.experts, family),
        formats=formats,
        kv_cache=kv_cache_of(keys),
        max_model_len=max_model_len,
        parameters=parameters,
        weight_bytes=weight_bytes,
        vision_parameters=vision_parameters(config, hidden_size)
        + audio_parameters(config)
        + per_layer_parameters(keys, stack.layers),
    )


NO_EXPERTS = Experts(layers=0, count=0, per_token=0, intermediate_size=0)


@dataclass(frozen=True, slots=True)
class _Stack:
    layers: int
    intermediate_size: int
    attention: tuple[Attention, ...]
    experts: Experts | None


def _architecture(config: Mapping[str, Any], name: str) -> str:
    named = config.get("architectures")
    if isinstance(named, Sequence) and not isinstance(named, str) and named:
        return str(named[0])
    raise CannotModel(
        f"cannot model {name} because its config.json lacks architectures",
        hint="is it the config.json of a language model, as published with its weights?",
    )


def _family(architecture: str, name: str) -> Family:
    family = FAMILIES.get(architecture)
    if family is not None:
        return family
    if architecture in REFUSED:
        raise CannotModel(f"cannot model {name} ({architecture}) because {REFUSED[architecture]}")
    close = difflib.get_close_matches(architecture, FAMILIES, n=1, cutoff=0.85)
    like = f"; the nearest it knows is {close[0]}" if close else ""
    raise CannotModel(
        f"cannot model {name} because Enova does not know its architecture, {architecture}{like}",
        hint="if vLLM serves it, please open an issue with its config.json",
    )


def _stack(keys: ConfigKeys, family: Family) -> _Stack:
    layers = keys.number("num_hidden_layers", "n_layer", "n_layers", "num_layers", most=LAYERS_MOST)
    pattern = alternation_of(keys)
    if pattern is not None:
        return _alternating(keys, family, pattern)
    experts = experts_of(keys, layers)
    dense = 0
    if experts is None or experts.layers < layers:
        dense = _dense_width(keys, layers)
    return _Stack(layers, dense, attention_layout(keys, family.layout, layers), experts)


def _routed(experts: Experts | None, family: Family) -> Experts | None:
    return replace(experts, router=Numbers.FP32) if experts and family.wide_router else experts


def _alternating(keys: ConfigKeys, family: Family, pattern: str) -> _Stack:
    """Nemotron-H: its layers hold attention (*), a state (M), an MLP (-) or experts (E), one each.

    Here one that mixes tokens and the MLP behind it are a layer; where there are fewer MLPs, each stands for its
    share of them, so that sums over layers are right.
    """
    mixers, sparse, dense = sum(pattern.count(sign) for sign in "M*"), pattern.count("E"), pattern.count("-")
    experts = replace(experts_of(keys, mixers) or NO_EXPERTS, layers=sparse) if sparse else None
    width = round(keys.number("intermediate_size") * dense / max(mixers - sparse, 1))
    return _Stack(mixers, width, attention_layout(keys, family.layout, mixers), experts)


def _dense_width(keys: ConfigKeys, layers: int) -> int:
    written = keys.number(
        "intermediate_size_mlp", "intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner", default=0
    )
    # GPT-2 and its descendants leave it out where it is four times the width.
    width = written or 4 * keys.number("hidden_size", "n_embd", "d_model")
    if keys.flag("use_double_wide_mlp", default=False):
        # Gemma 4 E2B: twice as wide where caches are shared. The mean keeps sums over layers right.
        width = round(width * (1 + keys.number("num_kv_shared_layers", default=0) / layers))
    return width
