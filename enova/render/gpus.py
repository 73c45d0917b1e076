"""GPU cards for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.text import Text

from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.numbers import Numbers
from enova.render.table import table_text

SCHEMA_VERSION = 1
GIB = 1024**3
HEADINGS = ("GPU", "MEMORY", "BANDWIDTH", "BF16", "FP8", "LINK", "$/H", "SEEN", "SOURCE OF THE PRICE")
RIGHT = frozenset({"MEMORY", "BANDWIDTH", "BF16", "FP8", "$/H"})


def gpus_text(cards: Iterable[GpuCard]) -> Text:
    """Return a line for each GPU: GiB, GB/s, dense TFLOPS, GB/s of the link in one direction, price."""
    return table_text(HEADINGS, [_row(card) for card in cards], right=RIGHT)


def gpu_text(card: GpuCard) -> Text:
    """Return everything about one GPU."""
    capability = card.compute_capability
    flops = ", ".join(f"{numbers} {rate / 1e12:,.5g}" for numbers, rate in card.flops.items())
    lines = (
        ("also called", ", ".join(card.aliases)),
        ("vendor", card.vendor + (f", compute capability {capability[0]}.{capability[1]}" if capability else "")),
        ("memory", f"{card.memory_bytes / GIB:.2f} GiB as reported, {card.memory_bytes_per_s / 1e9:,.0f} GB/s"),
        ("dense TFLOPS", flops),
        ("link", f"{card.link}, {card.link_bytes_per_s / 1e9:,.0f} GB/s in one direction"),
        ("of a host", f"{card.gpus_per_host}" + (", peer to peer" if card.peer_to_peer else "")),
        ("efficiency", f"curves measured for {card.efficiency}"),
        ("price", _price(card)),
        ("source", card.source),
    )
    text = Text().append(f"{card.name}\n", "bold")
    for name, value in lines:
        text.append(f"  {name:<14}", "dim").append(f"{value}\n")
    return text


def gpus_as_json(cards: Iterable[GpuCard]) -> dict[str, Any]:
    """Return `{schema_version, gpus: [{name, memory_bytes, flops: {format: per second}, price: {…}, …}]}`."""
    return {"schema_version": SCHEMA_VERSION, "gpus": [_as_json(card) for card in cards]}


def _row(card: GpuCard) -> tuple[str, ...]:
    price = card.price
    seen = "" if price is None else str(price.seen or "set here")
    return (
        card.name,
        f"{card.memory_bytes / GIB:.2f}",
        f"{card.memory_bytes_per_s / 1e9:.0f}",
        _tflops(card, Numbers.BF16, Numbers.FP16),
        _tflops(card, Numbers.FP8),
        f"{card.link} {card.link_bytes_per_s / 1e9:.0f}",
        "-" if price is None else f"{price.usd_per_h:.2f}",
        seen or "-",
        price.source if price else "-",
    )


def _tflops(card: GpuCard, *formats: Numbers) -> str:
    rate = next((card.flops[numbers] for numbers in formats if numbers in card.flops), None)
    return "-" if rate is None else f"{rate / 1e12:.4g}"


def _price(card: GpuCard) -> str:
    price = card.price
    if price is None:
        return "not known; set it in the file ENOVA_PRICES names"
    seen = f"{price.seen}: " if price.seen else ""
    return f"${price.usd_per_h:.2f} an hour on demand ({seen}{price.source})"


def _as_json(card: GpuCard) -> dict[str, Any]:
    price = card.price
    return {
        "name": card.name,
        "aliases": list(card.aliases),
        "vendor": card.vendor,
        "compute_capability": list(card.compute_capability) if card.compute_capability else None,
        "memory_bytes": card.memory_bytes,
        "memory_bytes_per_s": card.memory_bytes_per_s,
        "flops": {str(numbers): rate for numbers, rate in card.flops.items()},
        "link": card.link,
        "link_bytes_per_s": card.link_bytes_per_s,
        "peer_to_peer": card.peer_to_peer,
        "gpus_per_host": card.gpus_per_host,
        "efficiency": card.efficiency,
        "price": price
        and {
            "usd_per_h": price.usd_per_h,
            "source": price.source,
            "seen": price.seen.isoformat() if price.seen else None,
        },
        "source": card.source,
    }
