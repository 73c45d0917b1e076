"""GPU cards from the form they have in facts, and the words a GPU is known by."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from enova.core.engine.gpu_card import GpuCard, Price
from enova.core.engine.numbers import Numbers
from enova.errors import CannotModel

GIB = 1024**3

_FORMATS = {
    "fp32": (Numbers.FP32,),
    "bf16": (Numbers.BF16,),
    "fp16": (Numbers.FP16,),
    "fp8": (Numbers.FP8, Numbers.FP8_BLOCK),
    "int8": (Numbers.INT8,),
    "fp4": (Numbers.MXFP4, Numbers.NVFP4),
}
"""Hardware has one rate for all ways to scale a format."""


def gpu_card_of(entry: Mapping[str, Any]) -> GpuCard:
    """Return the card of one entry of `facts/gpus.yaml`."""
    capability = entry["compute_capability"]
    price = entry["price"]
    return GpuCard(
        name=entry["name"],
        aliases=tuple(entry["aliases"]),
        vendor=entry["vendor"],
        compute_capability=None if capability is None else (capability[0], capability[1]),
        memory_bytes=round(entry["memory_gib"] * GIB),
        memory_bytes_per_s=entry["memory_gb_per_s"] * 1e9,
        flops={numbers: rate * 1e12 for written, rate in entry["tflops"].items() for numbers in _FORMATS[written]},
        link=entry["link"],
        link_bytes_per_s=entry["link_gb_per_s"] * 1e9,
        peer_to_peer=entry["peer_to_peer"],
        gpus_per_host=entry["gpus_per_host"],
        efficiency=entry["efficiency"],
        flops_over_kin=entry.get("flops_over_kin", 1.0),
        memory_over_kin=entry.get("memory_over_kin", 1.0),
        price=None if price is None else Price(**price),
        source=entry["source"],
    )


def find_gpu(cards: Iterable[GpuCard], name: str) -> GpuCard:
    """Return the card of that name or alias; capitals, spaces, dashes and underscores do not matter.

    Raises:
        CannotModel: no card is called that.
    """
    known = {folded(word): card for card in cards for word in (card.name, *card.aliases)}
    card = known.get(folded(name))
    if card is not None:
        return card
    close = difflib.get_close_matches(folded(name), known, n=1, cutoff=0.7)
    hint = f"did you mean {known[close[0]].name}?" if close else "see `enova gpus` for those there are facts for"
    raise CannotModel(f"no GPU is called {name}", hint=hint)


def priced(cards: Iterable[GpuCard], usd_per_h: Mapping[str, float], source: str) -> tuple[GpuCard, ...]:
    """Return the cards with the prices a user set, by any name of a GPU.

    Raises:
        CannotModel: a price is for a GPU that no card is for.
    """
    cards = tuple(cards)
    own = {
        find_gpu(cards, name).name: Price(usd_per_h=usd, source=source, seen=None)
        for name, usd in usd_per_h.items()
    }
    return tuple(replace(card, price=own[card.name]) if card.name in own else card for card in cards)


def folded(name: str) -> str:
    """Return a name without what does not matter in it: capitals, spaces, dashes, underscores."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())
