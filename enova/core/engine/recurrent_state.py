"""Layers with a state of fixed size: what one sequence's state takes, and the widths of their projections."""

from __future__ import annotations

from enova.core.engine.config_keys import ConfigKeys
from enova.core.engine.model_card import Attention, AttentionKind

FP32_BYTES, FP16_BYTES = 4, 2


def recurrent_layer(keys: ConfigKeys) -> Attention:
    """Return one recurrent layer of whichever kind the config describes.

    Sizes follow vLLM's `MambaStateShapeCalculator`: the state itself, and the last inputs of the convolution.
    `heads` and `head_dim_v` describe values, `kv_heads` and `head_dim` keys, so that projections can be counted as
    for attention.
    """
    if keys.get("linear_num_value_heads") is not None:
        return _delta_net(keys)
    if keys.get("mamba_n_heads", "mamba_num_heads") is not None:
        return _mamba2(keys)
    if keys.get("mamba_d_state", "state_size") is not None:
        return _mamba1(keys)
    return _lightning(keys)


def _delta_net(keys: ConfigKeys) -> Attention:
    value_heads, value_dim = keys.number("linear_num_value_heads"), keys.number("linear_value_head_dim")
    key_heads, key_dim = keys.number("linear_num_key_heads"), keys.number("linear_key_head_dim")
    channels = 2 * key_heads * key_dim + value_heads * value_dim
    state = value_heads * value_dim * key_dim * _width(keys)
    return _layer(value_heads, key_heads, key_dim, value_dim, state + _convolution(keys, channels))


def _mamba2(keys: ConfigKeys) -> Attention:
    heads = keys.number("mamba_n_heads", "mamba_num_heads")
    groups = keys.number("mamba_n_groups", "n_groups", default=1)
    width = keys.number("mamba_d_state", "ssm_state_size", "state_size")
    # Where it is left to the configuration class, the heads fill the inner width.
    head_dim = keys.get("mamba_d_head", "mamba_head_dim")
    if not isinstance(head_dim, int):
        head_dim = keys.number("mamba_expand", "expand", default=2) * keys.number("hidden_size") // max(heads, 1)
    state = heads * head_dim * width * _width(keys)
    return _layer(
        heads, groups, width, head_dim, state + _convolution(keys, heads * head_dim + 2 * groups * width)
    )


def _mamba1(keys: ConfigKeys) -> Attention:
    inner = keys.number("intermediate_size" if keys.get("state_size") else "mamba_inner_size", default=0)
    inner = inner or keys.number("mamba_expand", "expand", default=2) * keys.number("hidden_size")
    width = keys.number("mamba_d_state", "state_size")
    return _layer(1, 1, width, inner, inner * width * FP16_BYTES + _convolution(keys, inner))


def _lightning(keys: ConfigKeys) -> Attention:
    heads, head_dim = keys.number("num_attention_heads"), keys.number("head_dim")
    return _layer(heads, heads, head_dim, head_dim, heads * head_dim * head_dim * FP32_BYTES)


def _width(keys: ConfigKeys) -> int:
    """Bytes of a value of the state, which may be kept wider than the rest."""
    return FP32_BYTES if keys.get("mamba_ssm_dtype", "mamba_ssm_cache_dtype") == "float32" else FP16_BYTES


def _convolution(keys: ConfigKeys, channels: int) -> int:
    kernel = keys.number("linear_conv_kernel_dim", "mamba_d_conv", "conv_kernel", "conv_kernel_size", default=4)
    return channels * (kernel - 1) * FP16_BYTES


def _layer(heads: int, key_heads: int, key_dim: int, value_dim: int, state_bytes: int) -> Attention:
    return Attention(
        layers=1,
        kind=AttentionKind.LINEAR,
        heads=heads,
        kv_heads=key_heads,
        head_dim=key_dim,
        head_dim_v=value_dim,
        state_bytes=state_bytes,
    )
