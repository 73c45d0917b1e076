"""From the paths on the command line to services."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from enova.cli.session import Session
from enova.errors import UsageError

if TYPE_CHECKING:
    from enova.adapters.specfiles import SpecFile, Survey
    from enova.core.spec import Service

DEFAULT_FOLDER = "specs"
STDIN = "-"


def given_paths(paths: Sequence[str] | None) -> list[str]:
    """Return the paths, or ./specs if none is given."""
    if paths:
        return list(paths)
    if Path(DEFAULT_FOLDER).is_dir():
        return [DEFAULT_FOLDER]
    raise UsageError(
        "no path is given and there is no folder ./specs here",
        hint="name a spec file or folder, or begin with `enova init MODEL > specs/NAME.yaml`",
    )


def load_files(paths: Sequence[str] | None, session: Session) -> tuple[SpecFile, ...]:
    """Return the specs at these paths, or in ./specs. Raises SpecError with every problem of every file."""
    from enova.adapters.specfiles import load

    chosen = given_paths(paths)
    return load(chosen, stdin=_read_stdin(session) if STDIN in chosen else None)


def survey_files(paths: Sequence[str] | None, session: Session) -> Survey:
    """Return what can be used of the specs at these paths, or in ./specs, and what is wrong with the others."""
    from enova.adapters.specfiles import survey

    chosen = given_paths(paths)
    return survey(chosen, stdin=_read_stdin(session) if STDIN in chosen else None)


def load_services(paths: Sequence[str] | None, session: Session) -> list[Service]:
    """Return the services at these paths, or in ./specs."""
    return [file.service for file in load_files(paths, session)]


def _read_stdin(session: Session) -> str | bytes:
    """Bytes where there are any: what is not UTF-8, or too long, is the loader's to report."""
    from enova.adapters.specfiles.text import MAX_BYTES

    buffer = getattr(session.stdin, "buffer", session.stdin)
    text: str | bytes = buffer.read(MAX_BYTES + 1)
    return text
