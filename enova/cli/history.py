"""`enova history`: what was applied, when, by whom, and what became of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from enova.cli.options import Color, OneOrAll, TextOrJson, seconds_of
from enova.cli.session import session_of


def history(
    ctx: typer.Context,
    service: OneOrAll = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DURATION", help="Only what is no older: `7d`.", show_default=False),
    ] = None,
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Show what was applied, oldest first: when, by whom, from which git revision, and what became of it.

    JSON has the spec, the plan and the forecast of each. It is kept in $ENOVA_STATE_DIR/history.db, a record only:
    it may be deleted at any time.

    \b
    Examples:
      $ enova history
      $ enova history chat --since 7d
      $ enova history chat -o json
    """
    from enova.adapters.history import history_of
    from enova.core.revision import revision_as_data
    from enova.render.history import history_text

    session = session_of(ctx)
    since_s = None if since is None else session.now() - seconds_of("--since", since)
    found = history_of(session.settings).revisions(service, since_s=since_s)
    if output == "json":
        data = {"schema_version": 1, "revisions": [revision_as_data(one) for one in found]}
        session.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    else:
        session.show(history_text(found), color)
    return 0
