"""Parameters that come with the language model of a multimodal one, estimated from the configs of its towers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from enova.core.engine.config_keys import ConfigKeys

PATCH_VALUES = 3 * 14 * 14
"""Colours and pixels of a patch, where the config does not say."""


def vision_parameters(config: Mapping[str, Any], hidden_size: int) -> int:
    """Return about how many parameters the vision tower and the projector have; 0 where there is none.

    Counts the matrices of the tower's layers (four of attention, two or three of the MLP), the patch embedding and
    a projector of two layers; norms, biases and position tables are left out, which is within a few per cent.
    """
    vision = config.get("vision_config")
    if not isinstance(vision, Mapping):
        return 0
    width = _first(vision, "embed_dim", "vt_hidden_size", "hidden_size", "width")
    layers = _first(vision, "depth", "vt_num_hidden_layers", "num_hidden_layers", "layers")
    if not width or not layers:
        return 0
    mlp = _first(vision, "vt_intermediate_size", "intermediate_size") or int(
        width * (vision.get("mlp_ratio") or 4)
    )
    gated = str(vision.get("hidden_act") or vision.get("hidden_activation") or "") == "silu"
    patch = (_first(vision, "patch_size") or 0) ** 2 * 3 or PATCH_VALUES
    tower = layers * (4 * width * width + (3 if gated else 2) * width * mlp) + patch * width
    merged = width * (_first(vision, "spatial_merge_size") or _merge(vision)) ** 2
    return tower + merged * merged + merged * hidden_size


def audio_parameters(config: Mapping[str, Any]) -> int:
    """Return about how many parameters the audio tower has; 0 where there is none.

    A layer of a conformer has two MLPs of four times its width, attention, and a convolution with three matrices:
    23 squares of the width. Width and layers left out are those of Gemma 4's configuration class.
    """
    audio = config.get("audio_config")
    if not isinstance(audio, Mapping):
        return 0
    width = _first(audio, "hidden_size") or 1024
    return 23 * width * width * (_first(audio, "num_hidden_layers") or 12)


def per_layer_parameters(keys: ConfigKeys, layers: int) -> int:
    """Return the parameters of embeddings that each layer adds (Gemma 4 E2B, E4B): looked up, hardly computed."""
    width = keys.number("hidden_size_per_layer_input", default=0)
    rows = keys.number("vocab_size_per_layer_input", "vocab_size")
    return width * layers * (rows + 3 * keys.number("hidden_size")) if width else 0


def _merge(vision: Mapping[str, Any]) -> int:
    kernel = vision.get("merge_kernel_size")
    return int(kernel[0]) if isinstance(kernel, (list, tuple)) and kernel else 1


def _first(config: Mapping[str, Any], *names: str) -> int:
    found = (config[name] for name in names if isinstance(config.get(name), int))
    return next(found, 0)
