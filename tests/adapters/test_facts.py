"""The facts themselves: that they can be read, are told apart, and say where they come from."""

from __future__ import annotations

import re
from datetime import date
from itertools import chain
from pathlib import Path

import pytest

from enova.adapters.facts import gpu_card, gpu_cards, model_card, model_names
from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.model_card import ModelCard
from enova.core.engine.model_summary import summary_of
from enova.core.engine.numbers import Numbers
from enova.errors import CannotModel, UsageError

CURVES = {"a100_sxm", "h100_sxm", "h200_sxm", "b200_sxm", "l40s"}


@pytest.mark.parametrize("card", gpu_cards(), ids=lambda card: card.name)
def test_a_gpu_is_complete_and_says_where_its_facts_come_from(card: GpuCard) -> None:
    assert card.source
    assert card.efficiency in CURVES
    assert 14e9 < card.memory_bytes < 330e9
    assert Numbers.FP16 in card.flops or Numbers.BF16 in card.flops
    if card.price:
        assert card.price.source
        assert card.price.seen is not None
        assert date(2025, 1, 1) < card.price.seen
        assert 0.1 < card.price.usd_per_h < 20


def test_no_two_gpus_share_a_name() -> None:
    folded = [
        "".join(letter for letter in word.casefold() if letter.isalnum())
        for card in gpu_cards()
        for word in {card.name, *card.aliases}
    ]
    doubled = {word for word in folded if folded.count(word) > 1}

    # A name and an alias of one card may differ in dashes only; those of two cards may not.
    assert {len({gpu_card(word).name}) for word in doubled} <= {1}
    assert all(gpu_card(word).name == card.name for card in gpu_cards() for word in (card.name, *card.aliases))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("h100_sxm", "h100-sxm"),
        ("H100-80GB", "h100-sxm"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("h200_sxm", "h200-sxm"),
        ("b200_sxm", "b200"),
        ("b300_sxm", "b300"),
        ("gb200", "gb200"),
        ("RTX4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("RTXPRO6000", "rtx-pro-6000-server"),
        ("rtx_pro_6000_server", "rtx-pro-6000-server"),
        ("A100-80GB", "a100-sxm-80gb"),
        ("a100_pcie", "a100-pcie-80gb"),
    ],
)
def test_gpus_are_known_by_the_names_that_data_and_drivers_use(written: str, name: str) -> None:
    assert gpu_card(written).name == name


def test_rates_are_dense() -> None:
    assert gpu_card("h100-sxm").flops[Numbers.FP8] == 1.979e15
    assert gpu_card("b200").flops[Numbers.NVFP4] == 9e15
    assert gpu_card("rtx-4090").flops[Numbers.BF16] == 1.652e14
    assert gpu_card("rtx-4090").memory_bytes == 25250627584


def test_prices_of_an_installation_replace_those_of_facts(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("H100: 1.5\nl40s: 0\n", encoding="utf-8")

    own, other = gpu_card("h100-sxm", prices).price, gpu_card("b200", prices).price

    assert own is not None
    assert (own.usd_per_h, own.source, own.seen) == (1.5, str(prices), None)
    assert other == gpu_card("b200").price


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[1]", "must map names of GPUs"),
        ("{", "is not YAML"),
        ("h100: cheap\nb200: -1\nl4: true\n", "not a price of 0 or more: h100, b200, l4"),
        ("h101: 1\n", "no GPU is called h101"),
    ],
)
def test_prices_that_cannot_be_are_refused(tmp_path: Path, text: str, fault: str) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text(text, encoding="utf-8")

    with pytest.raises(UsageError, match=fault):
        gpu_card("h100-sxm", prices)


def test_a_file_of_prices_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="prices cannot be read"):
        gpu_cards(tmp_path / "none.yaml")


@pytest.fixture(scope="module")
def models() -> list[ModelCard]:
    return [model_card(name) for name in model_names()]


def test_every_model_can_be_modelled_and_names_are_told_apart(models: list[ModelCard]) -> None:
    names = [card.name for card in models]

    assert len({name.casefold() for name in names}) == len(names)
    assert all(sum(entry.layers for entry in card.attention) == card.layers for card in models)
    assert all(card.max_model_len >= 1024 for card in models)


def test_a_model_that_is_not_known_is_answered_with_one_like_it() -> None:
    with pytest.raises(CannotModel) as refused:
        model_card("Qwen/Qwen3-32")

    assert "Qwen/Qwen3-32B" in (refused.value.hint or "")


PUBLISHED_PARAMETERS = {
    "google/gemma-2-2b-it": 2_614_341_888,
    "google/gemma-2-9b-it": 9_241_705_984,
    "google/gemma-2-27b-it": 27_227_128_320,
    "google/gemma-3-4b-it": 4_300_079_472,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "meta-llama/Llama-3.1-70B-Instruct": 70_553_706_496,
    "meta-llama/Llama-4-Scout-17B-16E-Instruct": 108_641_793_536,
    "openai/gpt-oss-20b": 20_914_757_184,
    "openai/gpt-oss-120b": 116_829_156_672,
    "Qwen/Qwen1.5-MoE-A2.7B": 14_315_784_192,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "Qwen/Qwen3-30B-A3B": 30_532_122_624,
    "Qwen/Qwen3-235B-A22B": 235_093_634_560,
}
"""As the hub counts them."""


@pytest.mark.parametrize("name", PUBLISHED_PARAMETERS)
def test_parameters_come_out_as_the_hub_counts_them(name: str) -> None:
    assert summary_of(model_card(name)).parameters == pytest.approx(PUBLISHED_PARAMETERS[name], rel=3e-3)


NAMED_OTHERWISE = (
    "8x7b", "8x22b", "-17b-", "a2.7b", "-e2b", "-e4b", "olmoe-1b-7b", "gemma-7b", "qwen3.5-397b-a17b", "gemma-2b",
    "gemma-1.1", "c4ai",
)  # fmt: skip
"""Whose names do not begin with what they have in all, or round it boldly."""


def test_parameters_agree_with_the_size_in_the_name(models: list[ModelCard]) -> None:
    sizes = [
        (card.name, float(found[1]), summary_of(card).parameters / 1e9)
        for card in models
        if (found := re.search(r"[-_](\d+(?:\.\d+)?)b(?:-|_|$)", card.name.casefold()))
        and not any(word in card.name.casefold() for word in NAMED_OTHERWISE)
    ]

    assert [(name, said, had) for name, said, had in sizes if not 0.85 * said < had < 1.31 * said] == []
    assert len(sizes) > 250


def test_formats_of_quantised_models_follow_from_their_names(models: list[ModelCard]) -> None:
    words = {
        "-FP8": "fp8",
        "FP4": "nvfp4",
        "AWQ": "int4",
        "Int4": "int4",
        "Int8": "int8",
        "w8a8": "int8",
        "w4a16": "int4",
    }
    told = [
        (card.name, word, str(card.formats.experts if card.experts else card.formats.mlp))
        for card, word in ((card, word) for card in models for word in words)
        if word.casefold() in card.name.casefold()
    ]

    assert [name for name, word, numbers in told if not numbers.startswith(words[word])] == []
    assert len(told) >= len(set(chain(words)))
