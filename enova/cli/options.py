"""Arguments and options that several commands share, and their completion."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from enova.errors import UsageError

COMPLETED_FILES_MAX = 200
NAME = re.compile(r"^metadata:\s*\{?\s*name:\s*([a-z0-9-]+)", re.MULTILINE)
"""Good enough to complete a word; a name written in any other way is typed by hand."""


def complete_path(incomplete: str) -> list[str]:
    """Return spec files and folders that begin like this."""
    folder, _, start = incomplete.rpartition("/")
    base = Path(folder or ("/" if incomplete.startswith("/") else "."))
    prefix = incomplete[: len(incomplete) - len(start)]
    try:
        found = sorted(base.iterdir())
    except OSError:
        return []
    fitting = (path for path in found if path.name.startswith(start) and not path.name.startswith("."))
    return [
        f"{prefix}{path.name}/" if path.is_dir() else f"{prefix}{path.name}"
        for path in fitting
        if path.is_dir() or path.suffix in {".yaml", ".yml", ".json"}
    ]


def complete_service(incomplete: str) -> list[str]:
    """Return the names that the files in ./specs give, without checking these files."""
    names: set[str] = set()
    for path in sorted(Path("specs").rglob("*.y*ml"))[:COMPLETED_FILES_MAX]:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        names.update(NAME.findall(text))
    return sorted(name for name in names if name.startswith(incomplete))


def complete_service_or_path(incomplete: str) -> list[str]:
    """Return services and paths that begin like this."""
    return [*complete_service(incomplete), *complete_path(incomplete)]


def seconds_of(option: str, text: str) -> float:
    """Return the length of time an option names, which must be some."""
    from enova.core.spec.fault import Fault
    from enova.core.spec.units import Duration

    try:
        seconds = float(Duration.parse(text))
    except Fault as fault:
        raise UsageError(f"{option}: {fault.message}", hint=fault.hint) from None
    if seconds <= 0:
        raise UsageError(f"{option}: must be more than 0")
    return seconds


PATHS_HELP = "Spec files or folders; `-` reads stdin. Default: ./specs"

Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help=PATHS_HELP, show_default=False, autocompletion=complete_path),
]
OneOrAll = Annotated[
    str | None,
    typer.Argument(metavar="SERVICE", help="Default: all.", show_default=False, autocompletion=complete_service),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Why = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="The reason, for `enova history`.", show_default=False)
]
Prune = Annotated[
    bool, typer.Option("--prune", help="Also remove services that run here but are in no given file.")
]
Color = Annotated[Literal["auto", "always", "never"], typer.Option("--color", help="Colour the output.")]
InventoryFile = Annotated[
    Path | None,
    typer.Option(
        "--inventory",
        metavar="FILE",
        help="What there is to run on. Default: ENOVA_INVENTORY, ~/.config/enova/inventory.yaml, or this host.",
        show_default=False,
        autocompletion=complete_path,
    ),
]
TextJsonOrMarkdown = Annotated[
    Literal["text", "json", "markdown"],
    typer.Option("--output", "-o", help="Form of the output; markdown is for comments on pull requests."),
]
TextOrJson = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="Form of the output.")]


_CHARTS = (".png", ".svg", ".html")


def check_chart(chart: Path | None) -> None:
    """Raise UsageError for a file that no chart can be drawn into, before any work is done for it."""
    if chart is None:
        return
    if chart.suffix not in _CHARTS:
        raise UsageError(f"--chart: {chart} is none of {', '.join(_CHARTS)}")
    if not chart.parent.is_dir():
        raise UsageError(f"--chart: there is no folder {chart.parent}")
