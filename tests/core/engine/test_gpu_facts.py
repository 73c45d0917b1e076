"""GPUs by name, and prices of one's own."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from enova.core.engine.gpu_card import GpuCard, Price
from enova.core.engine.gpu_facts import find_gpu, gpu_card_of, priced
from enova.core.engine.numbers import Numbers
from enova.errors import CannotModel

ENTRY: dict[str, Any] = {
    "name": "h100-sxm",
    "aliases": ["H100", "NVIDIA H100 80GB HBM3"],
    "vendor": "nvidia",
    "compute_capability": [9, 0],
    "memory_gib": 79.5,
    "memory_gb_per_s": 3350,
    "tflops": {"bf16": 989, "fp8": 1979},
    "link": "nvlink4",
    "link_gb_per_s": 450,
    "peer_to_peer": True,
    "gpus_per_host": 8,
    "efficiency": "h100_sxm",
    "price": {"usd_per_h": 2.69, "source": "a list", "seen": date(2026, 3, 10)},
    "source": "a data sheet",
}


def cards() -> list[GpuCard]:
    return [gpu_card_of(ENTRY), gpu_card_of({**ENTRY, "name": "l40s", "aliases": ["NVIDIA L40S"], "price": None})]


def test_units_of_facts_become_those_of_the_card() -> None:
    card = gpu_card_of(ENTRY)

    assert (card.memory_bytes, card.memory_bytes_per_s, card.link_bytes_per_s) == (85362475008, 3.35e12, 4.5e11)
    assert card.flops == {Numbers.BF16: 9.89e14, Numbers.FP8: 1.979e15, Numbers.FP8_BLOCK: 1.979e15}
    assert card.price == Price(usd_per_h=2.69, source="a list", seen=date(2026, 3, 10))


def test_fp4_holds_for_both_ways_to_scale_it() -> None:
    assert set(gpu_card_of({**ENTRY, "tflops": {"fp4": 9000}}).flops) == {Numbers.MXFP4, Numbers.NVFP4}


@pytest.mark.parametrize(
    "name", ["h100-sxm", "H100_SXM", "h100", "nvidia h100 80gb hbm3", "NVIDIA-H100-80GB-HBM3"]
)
def test_a_gpu_is_found_by_any_of_its_names_however_written(name: str) -> None:
    assert find_gpu(cards(), name).name == "h100-sxm"


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one() -> None:
    with pytest.raises(CannotModel, match="no GPU is called l40x") as refused:
        find_gpu(cards(), "l40x")

    assert refused.value.hint == "did you mean l40s?"


def test_a_name_like_none_is_answered_with_where_names_are() -> None:
    with pytest.raises(CannotModel) as refused:
        find_gpu(cards(), "abacus")

    assert refused.value.hint == "see `enova gpus` for those there are facts for"


def test_prices_of_ones_own_take_the_place_of_those_of_facts() -> None:
    first, second = priced(cards(), {"L40S": 0.5}, "prices.yaml")

    assert (first.price, second.price) == (
        cards()[0].price,
        Price(usd_per_h=0.5, source="prices.yaml", seen=None),
    )


def test_a_price_for_a_gpu_that_is_not_known_is_refused() -> None:
    with pytest.raises(CannotModel, match="h101"):
        priced(cards(), {"h101": 0.5}, "prices.yaml")
