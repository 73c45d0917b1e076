"""What is kept of a plan that was carried out: forecasts for the ledger, and a revision of each service."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from enova.cli.session import Session
from enova.errors import EnovaError

if TYPE_CHECKING:
    from enova.core.plan import Action
    from enova.core.revision import Cause, Ending, Revision
    from enova.executor import Result
    from enova.tick import Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a plan is from."""

    command: str
    """`enova apply`."""
    why: str = ""
    """In the user's words."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Service -> the file it is written in."""
    rollback: bool = False


def keep(tick: Tick, result: Result | None, session: Session, origin: Origin) -> None:
    """Keep what holds from now on; `result` is None where nothing had to be done.

    That it cannot be kept is no reason to fail: what runs is the only source of truth.
    """
    from enova.adapters.history import history_of
    from enova.core.ledger.records import Applied

    history = history_of(session.settings)
    changed = {action.service for action in tick.plan.actions}
    changed -= {failure.action.service for failure in (*result.failures, *result.stopped)} if result else set()
    records = [
        Applied(
            at_s=session.now(), service=one.service, fingerprint=one.fingerprint, forecast=one.after, rate=one.rate
        )
        for one in tick.outlooks
        if one.after is not None and one.service in changed
    ]
    try:
        if result:
            history.add(*records)
        revisions = list(_revisions(tick, result, session, origin, history.newest_revisions()))
        if revisions:
            history.keep_revisions(*revisions)
    except EnovaError as error:
        session.say(f"note: this is not kept in the history, nor for the ledger: {error.message}")


def _revisions(
    tick: Tick, result: Result | None, session: Session, origin: Origin, before: Mapping[str, Revision]
) -> Iterator[Revision]:
    """One for each service that was acted on, and for each that is another version than it was, to no effect."""
    from enova.core.revision import Cause, Revision, digest_of, lock_of, spec_of

    written = {one.service.name: one.written for one in tick.resolved}
    actions: dict[str, list[Action]] = {}
    for action in tick.plan.actions:
        actions.setdefault(action.service, []).append(action)
    unknown = {note.service for note in tick.plan.unknowns}
    forecasts = {one.service: one.after for one in tick.outlooks}
    git_revision = cache(_git_revision)
    for name in sorted({*written, *actions}):
        service, advice = written.get(name), tick.advice.get(name)
        entry = advice.entry if advice else None
        digest = digest_of(service, entry) if service else ""
        last = before.get(name)
        unchanged = last is not None and last.digest == digest
        if name not in actions and (unchanged or name in unknown or (service is not None and service.suspend)):
            continue
        cause: Cause = Cause.ROLLBACK if origin.rollback else Cause.CHANGE if service else Cause.REMOVAL
        ending, reason = _ending(name, result)
        file = origin.files.get(name, "")
        yield Revision(
            at_s=session.now(),
            service=name,
            cause=cause,
            command=origin.command,
            who=f"{_user()}@{socket.gethostname()}",
            why=origin.why,
            source=file,
            git_revision=git_revision(Path(file).parent) if file else "",
            spec=spec_of(service) if service else {},
            lock=lock_of(name, entry),
            digest=digest,
            actions=tuple(str(action) for action in actions.get(name, ())),
            forecast=forecasts.get(name),
            ending=ending,
            reason=reason,
        )


def _ending(service: str, result: Result | None) -> tuple[Ending, str]:
    from enova.core.revision import Ending

    if result is None:
        return Ending.APPLIED, ""
    for ending, ends in ((Ending.FAILED, result.failures), (Ending.STOPPED, result.stopped)):
        own = [f"{end.action.target}: {end.message}" for end in ends if end.action.service == service]
        if own:
            return ending, "\n".join(own)
    skipped = any(action.service == service for action in result.skipped)
    return (Ending.STOPPED, "not begun") if skipped else (Ending.APPLIED, "")


def _git_revision(folder: Path) -> str:
    from enova.adapters.git import revision_of

    return revision_of(folder) or ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        # In a container a user may have a number and no name.
        return "unknown"
