"""How commands choose what specs leave open: the options they share, the locks, and what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli.locks import Locks, locks_beside
from enova.cli.session import Session
from enova.errors import UsageError

if TYPE_CHECKING:
    from enova.adapters.specfiles import SpecFile
    from enova.advise import Wish
    from enova.core.lockfile import Lock
    from enova.knowledge import Knowledge

Refresh = Annotated[bool, typer.Option("--refresh", help="Choose anew, whatever enova.lock says.")]
Locked = Annotated[
    bool, typer.Option("--locked", help="Fail if enova.lock does not fit the specs; never write it.")
]
BestEffort = Annotated[
    bool, typer.Option("--best-effort", help="Where promises cannot be kept, take what comes closest.")
]


@dataclass(frozen=True, slots=True)
class Choosing:
    """What `enova.tick.plan` needs to choose."""

    knowledge: Knowledge
    locks: Locks
    wish: Wish

    def anew(self) -> Choosing:
        """Return the same, with everything chosen anew."""
        return replace(self, wish=replace(self.wish, refresh=True))

    def as_saved(self, lock: Lock) -> Choosing:
        """Return the same, with what a saved plan chose, and nothing else to be chosen."""
        return replace(self, locks=Locks(dict(lock)), wish=replace(self.wish, choose=False))

    def as_kept(self, *, foresee: bool = True) -> Choosing:
        """Return the same, with what the locks hold, and nothing else to be chosen."""
        return replace(self, wish=replace(self.wish, choose=False, foresee=foresee))


def choosing(
    session: Session,
    files: Sequence[SpecFile],
    paths: Sequence[str],
    inventory: Path | None,
    *,
    refresh: bool = False,
    locked: bool = False,
    best_effort: bool = False,
) -> Choosing:
    """Return how to choose for spec files. Raises LockError for a lock that is damaged."""
    from enova.advise import Wish
    from enova.cli.knowledge import knowledge_of

    if locked and refresh:
        raise UsageError("--locked and --refresh do not go together", hint="leave one out")
    wish = Wish(refresh=refresh, locked=locked, best_effort=best_effort)
    return Choosing(knowledge_of(session, inventory), locks_beside(files, paths), wish)
