"""`enova init`: a first spec."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from enova.cli.session import session_of
from enova.errors import UsageError


def init(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Hub id (org/name) or local folder (./path).")],
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Name of the service. Default: made from the model's.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write to a new file instead of stdout.")
    ] = None,
) -> int:
    """Print a short commented spec to begin with.

    \b
    Examples:
      $ enova init Qwen/Qwen2.5-7B-Instruct > specs/chat.yaml
      $ enova init ./models/tiny --name tiny -o specs/tiny.yaml
      $ enova init Qwen/Qwen2.5-0.5B-Instruct | enova apply - --yes
    """
    from enova.core.spec.starter import name_for, starter

    session = session_of(ctx)
    if out is None:
        session.stdout.write(starter(model, name=name))
        return 0
    text = starter(_seen_from(out.parent, model), name=name if name is not None else name_for(model))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{out} exists already", hint="name another file, or remove it") from None
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error
    session.say(f"wrote {out}; see what it would do: enova plan {out}")
    return 0


def _seen_from(folder: Path, model: str) -> str:
    """Return the model as a spec in `folder` has to name it: its relative paths start there."""
    if not model.startswith(("./", "../")):
        return model
    path = os.path.relpath(model, folder)
    return f"{path}/" if path in (".", "..") else path if path.startswith("../") else f"./{path}"
