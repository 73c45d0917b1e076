"""`enova schema`: what editors and check-jsonschema need to check a spec."""

from __future__ import annotations

import typer

from enova.cli.session import session_of


def schema(ctx: typer.Context) -> int:
    """Print the JSON Schema of a spec.

    \b
    Examples:
      $ enova schema > enova.schema.json
      $ check-jsonschema --schemafile enova.schema.json specs/chat.yaml
    """
    from enova.core.spec.schema import schema_text

    session_of(ctx).stdout.write(schema_text())
    return 0
