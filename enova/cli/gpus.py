"""`enova gpus`: what is known about GPUs, and what they cost."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from enova.cli.options import Color, TextOrJson
from enova.cli.session import session_of


def complete_gpu(incomplete: str) -> list[str]:
    """Return GPUs that begin like this."""
    from enova.adapters.facts import gpu_cards

    return [card.name for card in gpu_cards() if card.name.startswith(incomplete.lower())]


def gpus(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="One GPU, by any of its names.", show_default=False, autocompletion=complete_gpu),
    ] = None,
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Show the GPUs Enova knows, what they can do and what they cost.

    Memory in GiB as the device reports it, bandwidths in GB/s, dense TFLOPS, and the price of one for an hour. A
    YAML file of `name: dollars an hour` replaces the prices: ENOVA_PRICES, by default ~/.config/enova/prices.yaml.

    \b
    Examples:
      $ enova gpus
      $ enova gpus h100-sxm
      $ enova gpus "NVIDIA L40S" -o json
    """
    from enova.adapters.facts import gpu_card, gpu_cards
    from enova.render.gpus import gpu_text, gpus_as_json, gpus_text

    session = session_of(ctx)
    prices = session.settings.prices
    cards = gpu_cards(prices) if name is None else (gpu_card(name, prices),)
    if output == "json":
        session.stdout.write(json.dumps(gpus_as_json(cards), indent=2, ensure_ascii=False) + "\n")
    else:
        session.show(gpus_text(cards) if name is None else gpu_text(cards[0]), color)
    return 0
