"""`enova models`: what is known about models, or can be read from their config.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from enova.cli.options import Color, TextOrJson
from enova.cli.session import session_of


def complete_model(incomplete: str) -> list[str]:
    """Return models that begin like this."""
    from enova.adapters.facts import model_names

    return [name for name in model_names() if name.casefold().startswith(incomplete.casefold())]


def models(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="A model on the hub, a folder, or part of a name.",
            show_default=False,
            autocompletion=complete_model,
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit on the hub.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the hub.")] = False,
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Show the models Enova knows, or one as it is modelled.

    A model that is not among them is read from a folder, from the Hugging Face cache or from the hub, where
    HF_TOKEN opens what is gated; only its config.json and file headers are read.

    \b
    Examples:
      $ enova models
      $ enova models qwen3
      $ enova models meta-llama/Llama-3.1-8B-Instruct
      $ enova models ./my-finetune -o json
    """
    from enova.adapters.facts import model_card, model_names
    from enova.adapters.models import find_card
    from enova.render.models import model_text, models_as_json, models_text

    session = session_of(ctx)
    names = model_names()
    wanted = (name or "").casefold()
    found = [known for known in names if wanted in known.casefold()]
    one = Path(name or "", "config.json").is_file() or any(known.casefold() == wanted for known in found)
    if name is None or (found and not one):
        cards = [model_card(known) for known in found]
        text = models_text(cards)
    else:
        token = session.environment.get("HF_TOKEN")
        cards = [find_card(name, revision=revision, token=token, offline=offline)]
        text = model_text(cards[0])
    if output == "json":
        session.stdout.write(json.dumps(models_as_json(cards), indent=2, ensure_ascii=False) + "\n")
    else:
        session.show(text, color)
    return 0
