"""Models by name."""

from __future__ import annotations

from typing import Any

import pytest

from enova.core.engine.known_models import KnownModels
from enova.core.engine.numbers import Numbers
from enova.errors import CannotModel

BASE: dict[str, Any] = {
    "aliases": ["org/Base-Chat"],
    "parameters": 7,
    "weight_bytes": 14,
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "vocab_size": 1000,
    "max_position_embeddings": 2048,
    "rope_scaling": {"type": "linear", "factor": 2},
}


def known() -> KnownModels:
    return KnownModels(
        {
            "org/Base": BASE,
            "org/Base-FP8": {"same_as": "org/Base", "quantization_config": {"quant_method": "fp8"}},
            "org/Base-FP8-short": {"same_as": "org/Base-FP8", "rope_scaling": None, "num_hidden_layers": 2},
        }
    )


def test_a_model_is_found_by_name_or_alias_whatever_the_capitals() -> None:
    assert [known().card(name).name for name in ("org/Base", "ORG/base", "org/base-chat")] == [
        "org/Base",
        "org/Base",
        "org/Base-Chat",
    ]


def test_sizes_belong_to_the_entry_that_states_them() -> None:
    base, quantised = known().card("org/Base"), known().card("org/Base-FP8")

    assert (base.parameters, base.weight_bytes) == (7, 14)
    assert (quantised.parameters, quantised.weight_bytes) == (None, None)


def test_an_entry_takes_over_the_keys_of_another_and_replaces_or_removes_some() -> None:
    card = known().card("org/Base-FP8-short")

    assert (card.layers, card.hidden_size, card.formats.mlp, card.max_model_len) == (2, 64, Numbers.FP8, 2048)


def test_all_names_are_listed_sorted() -> None:
    assert known().names == ("org/Base", "org/Base-Chat", "org/Base-FP8", "org/Base-FP8-short")


def test_a_name_that_is_not_known_is_answered_with_those_like_it() -> None:
    assert known().find("org/Bass") is None
    with pytest.raises(CannotModel, match="no facts for a model org/Bass") as refused:
        known().card("org/Bass")

    assert (refused.value.hint or "").startswith("did you mean org/Base or ")


def test_a_name_like_none_is_answered_with_where_names_are() -> None:
    assert known().hint("zzz") == "see `enova models` for those there are facts for"
