"""The lock files beside the specs of a command, read together and written back each to its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enova.adapters.specfiles import SpecFile
    from enova.advise import Advice
    from enova.cli.session import Session
    from enova.core.lockfile import Entry

STDIN = "<stdin>"


@dataclass(frozen=True, slots=True)
class _File:
    """One lock file, and the services of the specs beside it."""

    entries: dict[str, Entry]
    services: list[str]
    whole: bool
    """Whether all specs beside it were given, so that an entry of none of them is of no use any more."""


@dataclass(frozen=True, slots=True)
class Locks:
    """The entries of all services that are given. A service from stdin has no lock."""

    entries: dict[str, Entry] = field(default_factory=dict)
    _files: dict[Path, _File] = field(default_factory=dict)

    def write(self, advice: Mapping[str, Advice], session: Session) -> None:
        """Write what was chosen anew into the files, each of which is written whole or not at all."""
        from enova.adapters.lockfile import write_lock

        for path, file in sorted(self._files.items()):
            kept = {name: one for name, one in file.entries.items() if name in file.services or not file.whole}
            fresh = {name: advice[name].entry for name in file.services if name in advice and advice[name].fresh}
            wanted = kept | {name: entry for name, entry in fresh.items() if entry is not None}
            if wanted != file.entries and write_lock(path, wanted):
                session.say(f"wrote {path}: commit it with the specs")


def locks_beside(files: Sequence[SpecFile], paths: Sequence[str]) -> Locks:
    """Return the locks in the folders of spec files; `paths` are what was given. Raises LockError."""
    from enova.adapters.lockfile import read_lock
    from enova.core.lockfile import NAME

    folders = {Path(path).resolve() for path in paths if Path(path).is_dir()}
    found: dict[Path, _File] = {}
    for one in files:
        if one.file == STDIN:
            continue
        path = Path(one.file).parent / NAME
        if path not in found:
            beside = path.resolve().parents
            found[path] = _File(read_lock(path), [], whole=any(folder in beside for folder in folders))
        found[path].services.append(one.service.name)
    entries = {
        name: file.entries[name] for file in found.values() for name in file.services if name in file.entries
    }
    return Locks(entries, found)
