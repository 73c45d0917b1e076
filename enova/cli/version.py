"""`enova version`."""

from __future__ import annotations

import json

import typer

from enova.cli.options import TextOrJson
from enova.cli.session import session_of


def version(ctx: typer.Context, output: TextOrJson = "text") -> int:
    """Print the versions of Enova, of Python, and of the router it uses.

    \b
    With -o json: {"schema_version": 1, "enova": …, "python": …, "router": … or null}

    \b
    Examples:
      $ enova version
      $ enova version -o json
    """
    import platform
    from importlib import metadata

    from enova import __version__

    try:
        router: str | None = metadata.version("vllm-router")
    except metadata.PackageNotFoundError:
        router = None
    found = {"enova": __version__, "python": platform.python_version(), "router": router}
    session = session_of(ctx)
    if output == "json":
        session.stdout.write(json.dumps({"schema_version": 1} | found, indent=2) + "\n")
        return 0
    session.stdout.write("".join(f"{name} {value or '(not installed)'}\n" for name, value in found.items()))
    return 0
