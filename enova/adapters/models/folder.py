"""A folder with a model in it, as it is downloaded or as the Hugging Face cache keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from enova.adapters.models.stored import stored_in
from enova.core.engine.model_card import ModelCard
from enova.core.engine.model_config import card_of
from enova.errors import CannotModel

CONFIG, QUANTIZATION = "config.json", "hf_quant_config.json"


def card_in(folder: Path, *, name: str) -> ModelCard:
    """Return the card of the model in a folder, with the sizes its safetensors headers give where they are there.

    Raises:
        CannotModel: `config.json` cannot be read, is not JSON, or describes what is not understood.
    """
    config = read_config(folder)
    stored = stored_in(folder, layers=_layers(config))
    return card_of(
        config,
        name=name,
        parameters=stored.parameters if stored else None,
        weight_bytes=stored.weight_bytes if stored else None,
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Return `config.json`, with the quantisation that NVIDIA's exporter may write beside it."""
    config = _json(folder / CONFIG)
    beside = folder / QUANTIZATION
    if "quantization_config" not in config and beside.is_file():
        config["quantization_config"] = {"quant_method": "modelopt", **_json(beside)}
    return config


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotModel(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise CannotModel(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise CannotModel(f"{path} holds no JSON object")
    return found


def _layers(config: dict[str, Any]) -> int | None:
    text = config.get("text_config")
    found = (text if isinstance(text, dict) else config).get("num_hidden_layers")
    return found if isinstance(found, int) else None
