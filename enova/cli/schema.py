"""`enova schema`: what editors and check-jsonschema need to check a spec or an inventory."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from enova.cli.session import session_of


def schema(
    ctx: typer.Context,
    what: Annotated[Literal["service", "inventory"], typer.Argument(help="What the schema is of.")] = "service",
) -> int:
    """Print the JSON Schema of a spec, or of an inventory file.

    \b
    Examples:
      $ enova schema > enova.schema.json
      $ check-jsonschema --schemafile enova.schema.json specs/chat.yaml
      $ enova schema inventory > inventory.schema.json
    """
    from enova.core.spec import schema as made

    text = made.as_text(made.inventory_schema() if what == "inventory" else made.schema())
    session_of(ctx).stdout.write(text)
    return 0
