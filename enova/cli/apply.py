"""`enova apply`: make it so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli.choosing import BestEffort, Locked, Refresh, choosing
from enova.cli.options import Color, InventoryFile, Prune, Why, Yes, complete_path
from enova.cli.session import session_of
from enova.cli.settle import alone, settle, show
from enova.cli.specs import STDIN, given_paths, load_files
from enova.errors import PlanRefused, UsageError
from enova.keeping import Origin

if TYPE_CHECKING:
    from enova.core.planfile import SavedPlan

CHECKSUM = re.compile(r"[0-9a-f]{16}")
PLANFILE_MAX_BYTES = 64 * 2**20


def apply(
    ctx: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH|PLANFILE",
            help="Spec files or folders, or one saved plan; `-` reads stdin. Default: ./specs",
            show_default=False,
            autocompletion=complete_path,
        ),
    ] = None,
    yes: Yes = False,
    prune: Prune = False,
    inventory: InventoryFile = None,
    refresh: Refresh = False,
    locked: Locked = False,
    best_effort: BestEffort = False,
    checksum: Annotated[
        str | None,
        typer.Option(
            "--checksum",
            metavar="CHECKSUM",
            help="Only if the plan has this checksum: the one that was reviewed.",
            show_default=False,
        ),
    ] = None,
    why: Why = "",
    color: Color = "auto",
) -> int:
    """Show the plan, ask, and carry it out. Can be interrupted and run again at any time.

    A saved plan is carried out only if what it would do is still what was saved, and so is one that was reviewed,
    if --checksum names what `enova plan -o markdown` printed. Ctrl-C stops after the steps
    under way; a second one exits at once. Exits with 0 if all is done, 1 if something failed, could not be looked
    at or is refused, 64 if called wrongly, and 130 if interrupted.

    \b
    Examples:
      $ enova apply
      $ enova apply specs/chat.yaml --yes
      $ enova init Qwen/Qwen2.5-0.5B-Instruct | enova apply - --yes
      $ enova plan --out plan.json && enova apply plan.json
      $ enova apply specs --checksum 0f5b2c81d94e6a73 --yes
    """
    from enova.tick import plan

    session = session_of(ctx)
    saved = _saved_plan(paths or [])
    if saved and prune:
        raise UsageError("a saved plan already says whether to prune", hint="leave --prune out")
    if saved and (refresh or locked or best_effort or inventory):
        raise UsageError("a saved plan already says what was chosen", hint="leave the options for choosing out")
    if saved and checksum is not None:
        raise UsageError("a saved plan already says its checksum", hint="leave --checksum out")
    reviewed = _checksum(checksum)
    given = [] if saved else given_paths(paths)
    files = () if saved else load_files(given, session)
    services = list(saved.services) if saved else [file.service for file in files]
    how = choosing(session, files, given, inventory, refresh=refresh, locked=locked, best_effort=best_effort)
    if saved:
        how = how.as_saved(saved.lock)
    world = session.world()
    with alone(session, "enova apply"):
        tick = plan(
            services,
            world,
            how.knowledge,
            lock=how.locks.entries,
            wish=how.wish,
            prune=saved.prune if saved else prune,
        )
        show(tick, session, color)
        if saved and saved.checksum != tick.plan.checksum:
            raise PlanRefused(
                f"the world moved since the plan was saved: its checksum was {saved.checksum}, "
                f"now it is {tick.plan.checksum}",
                hint="what would be done now is above; save and review it with `enova plan --out FILE`",
            )
        if reviewed and reviewed != tick.plan.checksum:
            raise PlanRefused(
                f"the specs or the world moved since the plan was reviewed: its checksum was {reviewed}, "
                f"now it is {tick.plan.checksum}",
                hint="what would be done now is above; review it, then name its checksum",
            )
        return settle(
            tick,
            world,
            session,
            yes=yes,
            color=color,
            question="Apply this plan?",
            origin=Origin(
                command="enova apply",
                why=why,
                files={one.service.name: str(Path(one.file).absolute()) for one in files if one.file != "<stdin>"},
            ),
            agreed=lambda: None if locked else how.locks.write(tick.advice, session),
        )


def _checksum(text: str | None) -> str | None:
    """An empty one, as an unset variable of a script gives it, must not pass for leave to do anything."""
    if text is not None and not CHECKSUM.fullmatch(text):
        raise UsageError(
            f"--checksum: {text!r} is no checksum of a plan", hint="it is in what `enova plan -o markdown` prints"
        )
    return text


def _saved_plan(paths: Sequence[str]) -> SavedPlan | None:
    """Return the saved plan, if that is what the one path leads to."""
    from enova.core.planfile import from_json, is_planfile

    texts = {path: _begins_like_json(Path(path)) for path in paths if path != STDIN}
    plans = [path for path, text in texts.items() if text is not None and is_planfile(text)]
    if not plans:
        return None
    if len(paths) > 1:
        raise UsageError(f"{plans[0]} is a saved plan and has to be the only path")
    return from_json(texts[plans[0]] or "")


def _begins_like_json(path: Path) -> str | None:
    """What cannot be read is the spec loader's to report."""
    try:
        if not path.is_file() or path.stat().st_size > PLANFILE_MAX_BYTES:
            return None
        with path.open("rb") as file:
            if not file.read(64).lstrip().startswith(b"{"):
                return None
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
