"""`enova validate`: every problem of every spec at once, without touching anything."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from enova.cli.options import Paths
from enova.cli.session import session_of
from enova.cli.specs import load_files


def validate(
    ctx: typer.Context,
    paths: Paths = None,
    output: Annotated[
        Literal["text", "json", "github"] | None,
        typer.Option("--output", "-o", help="Form of the output. Default: github in GitHub Actions, else text."),
    ] = None,
) -> int:
    """Check spec files and report every problem with its place.

    Needs no Docker and no GPU. Exits with 0 if all is well, 1 if there are problems, 64 if called wrongly.

    \b
    Examples:
      $ enova validate
      $ enova validate specs/chat.yaml -o json
    """
    from enova.errors import Problem, SpecError
    from enova.render import problems as render

    session = session_of(ctx)
    problems: tuple[Problem, ...] = ()
    count = 0
    try:
        count = len(load_files(paths, session))
    except SpecError as error:
        problems = error.problems
    form = output or ("github" if session.environment.get("GITHUB_ACTIONS") == "true" else "text")
    forms = {"text": render.as_text, "json": render.as_json, "github": render.as_github}
    text = forms[form](problems)
    if text:
        session.stdout.write(text.rstrip("\n") + "\n")
    if form != "json":
        services = f"{count} service{'s' if count != 1 else ''}"
        session.say(f"{len(problems)} problems" if problems else f"ok: {services}")
    return 1 if problems else 0
