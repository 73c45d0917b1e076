"""Which layers look back at everything, which at a window, and which keep a state instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enova.core.engine.config_keys import ConfigKeys
from enova.core.engine.families import Layout
from enova.core.engine.model_card import Attention, AttentionKind, Latent
from enova.core.engine.recurrent_state import recurrent_layer

STRETCHING = {"linear", "dynamic", "yarn", "deepseek_yarn"}
"""Ways to scale rotary positions that vLLM multiplies the length by; others have it in max_position_embeddings."""
FACTOR_MOST = 10_000
SLIDING_WORDS = {"sliding_attention", "chunked_attention", "local_attention", "sliding"}
FULL_WORDS = {"full_attention", "attention", "global_attention", "full", "deepseek_sparse_attention"}


def attention_layout(keys: ConfigKeys, layout: Layout, layers: int) -> tuple[Attention, ...]:
    """Return the layers in groups of equal ones, in the order of their first."""
    if layout is Layout.LATENT:
        return (replace(_latent_layer(keys), layers=layers),)
    full = _full_layer(keys)
    sliding = _sliding_layer(keys, full)
    kinds = _kinds(keys, layout, layers)
    recurrent = recurrent_layer(keys) if AttentionKind.LINEAR in kinds else full
    by_kind = {AttentionKind.FULL: full, AttentionKind.SLIDING: sliding, AttentionKind.LINEAR: recurrent}
    own_caches = layers - keys.number("num_kv_shared_layers", default=0)
    counts: dict[Attention, int] = {}
    for number, kind in enumerate(kinds):
        layer = replace(by_kind[kind], shares_cache=number >= own_caches)
        counts[layer] = counts.get(layer, 0) + 1
    return tuple(replace(layer, layers=count) for layer, count in counts.items())


def latent_of(keys: ConfigKeys) -> Latent:
    """Return the dimensions of multi-head latent attention."""
    q_rank = keys.number("q_lora_rank", default=0)
    return Latent(
        q_rank=q_rank or None,
        kv_rank=keys.number("kv_lora_rank"),
        nope_dim=keys.number("qk_nope_head_dim"),
        rope_dim=keys.number("qk_rope_head_dim"),
        v_dim=keys.number("v_head_dim"),
    )


def alternation_of(keys: ConfigKeys) -> str | None:
    """Return what each layer of Nemotron-H holds, a sign for each: M state, * attention, - MLP, E experts."""
    pattern = keys.get("hybrid_override_pattern")
    if isinstance(pattern, str) and set(pattern) & set("M*"):
        return pattern
    words = keys.get("layers_block_type")
    signs = "".join(_SIGNS.get(str(word), "?") for word in words) if isinstance(words, list) else ""
    return signs if set(signs) & set("M*") and set(signs) & set("-E") else None


_SIGNS = {"mamba": "M", "attention": "*", "mlp": "-", "moe": "E"}


def max_model_len_of(keys: ConfigKeys) -> int:
    """Return the positions a model was made for, with its rope scaling, as vLLM derives them."""
    positions = keys.number(
        "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length", "n_ctx"
    )
    scaling = keys.get("rope_scaling", "rope_parameters")
    if not isinstance(scaling, dict) or "gemma3" in str(keys.get("model_type")):
        return positions
    kind, factor = str(scaling.get("rope_type") or scaling.get("type")), scaling.get("factor")
    if kind not in STRETCHING or not isinstance(factor, (int, float)) or not 0 < factor < FACTOR_MOST:
        return positions
    before = scaling.get("original_max_position_embeddings")
    if kind == "yarn" and isinstance(before, int):
        positions = before
    return int(positions * factor)


def _full_layer(keys: ConfigKeys) -> Attention:
    heads = keys.number("num_attention_heads", "n_head", "n_heads", "num_heads")
    head_dim = _head_dim(keys, heads)
    wide = keys.number("global_head_dim", default=head_dim)
    kv_heads = _kv_heads(keys, heads)
    if keys.flag("attention_k_eq_v", default=False):
        kv_heads = keys.number("num_global_key_value_heads", default=kv_heads)
    return Attention(
        layers=1,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=wide,
        head_dim_v=keys.number("v_head_dim", default=wide),
        sparse_tokens=keys.number("index_topk", default=0) or None,
    )


def _sliding_layer(keys: ConfigKeys, full: Attention) -> Attention:
    """A window that reaches as far as the model makes a layer full."""
    window = keys.get("sliding_window", "sliding_window_size")
    if keys.get("no_rope_layers", "no_rope_layer_interval", "attention_chunk_size") and not window:
        window = keys.get("attention_chunk_size")
    heads = keys.number("swa_num_attention_heads", "num_attention_heads", "n_head", "n_heads", "num_heads")
    head_dim = keys.number("swa_head_dim", default=_head_dim(keys, heads))
    if not isinstance(window, int) or window <= 0 or window >= max_model_len_of(keys):
        return full
    return Attention(
        layers=1,
        kind=AttentionKind.SLIDING,
        heads=heads,
        kv_heads=keys.number("swa_num_key_value_heads", default=_kv_heads(keys, heads)),
        head_dim=head_dim,
        head_dim_v=keys.number("swa_v_head_dim", "v_head_dim", default=head_dim),
        window_tokens=window,
    )


def _latent_layer(keys: ConfigKeys) -> Attention:
    latent = latent_of(keys)
    heads = keys.number("num_attention_heads")
    return Attention(
        layers=1,
        heads=heads,
        kv_heads=heads,
        head_dim=latent.nope_dim + latent.rope_dim,
        head_dim_v=latent.v_dim,
        sparse_tokens=keys.number("index_topk", default=0) or None,
    )


def _head_dim(keys: ConfigKeys, heads: int) -> int:
    # vLLM looks at the same names; 0 stands for unset in some old configs.
    hidden = keys.number("hidden_size", "n_embd", "d_model", "model_dim")
    return keys.number("head_dim", "kv_channels", "attention_head_dim", default=0) or hidden // max(heads, 1)


def _kv_heads(keys: ConfigKeys, heads: int) -> int:
    if keys.flag("multi_query_attention", default=False):
        return keys.number("multi_query_group_num", default=1)
    if keys.flag("multi_query", default=False) and not keys.flag("new_decoder_architecture", default=False):
        return 1
    nested = keys.get("attn_config")
    if isinstance(nested, dict) and "kv_n_heads" in nested:
        return keys.number_in("attn_config", "kv_n_heads")
    return keys.number("num_key_value_heads", "num_kv_heads", "n_head_kv", default=heads)


def _kinds(keys: ConfigKeys, layout: Layout, layers: int) -> Sequence[AttentionKind]:
    """One kind for each layer."""
    words = keys.entries(layers, "layer_types")
    if words is not None:
        return [_kind_of(str(word)) for word in words]
    pattern = alternation_of(keys)
    if pattern is not None:
        return [AttentionKind.FULL if sign == "*" else AttentionKind.LINEAR for sign in pattern if sign in "M*"]
    flags = keys.entries(layers, "hybrid_layer_pattern")
    if flags is not None:
        return [AttentionKind.SLIDING if flag else AttentionKind.FULL for flag in flags]
    if layout is Layout.HYBRID:
        return _hybrid_kinds(keys, layers)
    if not keys.flag("use_sliding_window", default=True):
        return [AttentionKind.FULL] * layers
    rotary = keys.entries(layers, "no_rope_layers")
    if layout is Layout.CHUNKED and rotary is not None:
        slides = [bool(flag) for flag in rotary]
    else:
        slides = [_slides(keys, layout, layer) for layer in range(layers)]
    return [AttentionKind.SLIDING if sliding else AttentionKind.FULL for sliding in slides]


def _slides(keys: ConfigKeys, layout: Layout, layer: int) -> bool:
    if layout is Layout.LAST_OF_PERIOD:
        written = keys.get("sliding_window_pattern", "_sliding_window_pattern")
        if isinstance(written, str):
            return written[layer % len(written)] == "L"
        period = keys.number("sliding_window_pattern", "_sliding_window_pattern")
        return (layer + 1) % max(period, 1) != 0
    if layout is Layout.CHUNKED:
        return (layer + 1) % keys.number("no_rope_layer_interval", default=4) != 0
    if layout is Layout.FROM_LAYER:
        return layer >= keys.number("max_window_layers", default=0)
    return True


def _kind_of(word: str) -> AttentionKind:
    if word in SLIDING_WORDS:
        return AttentionKind.SLIDING
    return AttentionKind.FULL if word in FULL_WORDS else AttentionKind.LINEAR


def _hybrid_kinds(keys: ConfigKeys, layers: int) -> Sequence[AttentionKind]:
    """Layers with attention, by whichever of the ways there are to say it; all others are recurrent."""
    flags = keys.entries(layers, "attn_type_list", "decoder_attention_types")
    listed = keys.get("attn_layer_indices")
    if flags is not None:
        attends = [bool(flag) for flag in flags]
    elif isinstance(listed, list):
        attends = [layer in listed for layer in range(layers)]
    elif keys.get("full_attention_interval"):
        interval = keys.number("full_attention_interval")
        attends = [(layer + 1) % interval == 0 for layer in range(layers)]
    elif keys.get("attn_layer_period"):
        period, offset = keys.number("attn_layer_period"), keys.number("attn_layer_offset")
        attends = [layer % period == offset for layer in range(layers)]
    else:
        keys.require(False, "layer_types")
        attends = []
    return [AttentionKind.FULL if attended else AttentionKind.LINEAR for attended in attends[:layers]]
