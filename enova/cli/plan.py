"""`enova plan`: what would be done, and why; nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from enova.cli.options import Color, Paths, Prune
from enova.cli.session import session_of
from enova.cli.specs import load_services
from enova.errors import UsageError

if TYPE_CHECKING:
    from enova.tick import Tick


def plan(
    ctx: typer.Context,
    paths: Paths = None,
    output: Annotated[
        Literal["text", "json", "markdown"],
        typer.Option("--output", "-o", help="Form of the output; markdown is for comments on pull requests."),
    ] = "text",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the plan, for `enova apply FILE`.")
    ] = None,
    prune: Prune = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say which values were filled in, and by whom.")
    ] = False,
    color: Color = "auto",
) -> int:
    """Show what would have to be done, and why. Changes nothing.

    Exits with 0 if all is as it should be, 2 if changes are pending, 1 if something is wrong, could not be looked
    at or is refused, and 64 if called wrongly.

    \b
    Examples:
      $ enova plan
      $ enova plan specs/chat.yaml -o markdown
      $ enova plan --out plan.json && enova apply plan.json
    """
    from enova.render.plan import plan_markdown, plan_text
    from enova.tick import plan as make_plan

    session = session_of(ctx)
    tick = make_plan(load_services(paths, session), session.world(), prune=prune)
    if out is not None:
        _save(tick, out, prune=prune)
        session.say(f"saved; apply it with: enova apply {out}")
    if output == "json":
        session.stdout.write(_json(tick, prune=prune))
    elif output == "markdown":
        session.stdout.write(plan_markdown(tick.plan, tick.resolved))
    else:
        session.show(plan_text(tick.plan, tick.resolved, verbose=verbose), color)
    return tick.plan.exit_code


def _json(tick: Tick, *, prune: bool) -> str:
    from enova import __version__
    from enova.core.planfile import to_json

    data = to_json(tick.plan, tick.resolved, prune=prune, enova_version=__version__)
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _save(tick: Tick, out: Path, *, prune: bool) -> None:
    try:
        out.write_text(_json(tick, prune=prune), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error
