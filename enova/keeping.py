"""What is kept of a plan that was carried out: forecasts for the ledger, and a revision of each service."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enova.adapters.history import History
    from enova.core.plan import Action
    from enova.core.revision import Cause, Ending, Revision
    from enova.executor import Failure, Result
    from enova.tick import Tick


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a plan is from."""

    command: str
    """What was run: `enova apply`."""
    why: str = ""
    """In the user's words."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Service -> the file it is written in."""
    git_revision: str | None = None
    """What the files are from; None: it is asked of the folder they are in."""
    rollback: bool = False
    repair: bool = False
    """Whether what is in force already is restored, and nothing new is applied."""
    advisory: bool = False
    """Whether it is only said what would be done."""


def keep(tick: Tick, result: Result | None, origin: Origin, history: History, *, at_s: float) -> None:
    """Keep what holds from `at_s` on, Unix time; `result` is None where nothing was done. Raises EnovaError.

    That it cannot be kept is no reason for a caller to fail: what runs is the only source of truth.
    """
    from enova.core.ledger.records import Applied

    changed = {action.service for action in tick.plan.actions}
    changed -= {failure.action.service for failure in (*result.failures, *result.stopped)} if result else set()
    records = [
        Applied(at_s=at_s, service=one.service, fingerprint=one.fingerprint, forecast=one.after, rate=one.rate)
        for one in tick.outlooks
        if one.after is not None and one.service in changed
    ]
    if result and not origin.advisory:
        history.add(*records)
    revisions = list(revisions_of(tick, result, origin, history.newest_revisions(), at_s=at_s))
    if revisions:
        history.keep_revisions(*revisions)


def revisions_of(
    tick: Tick, result: Result | None, origin: Origin, before: Mapping[str, Revision], *, at_s: float
) -> Iterator[Revision]:
    """One for each service that was acted on, and for each that is another version than it was, to no effect.

    `before` are the last of each service that say what is wanted.
    """
    from enova.core.revision import Ending, Revision, digest_of, lock_of, spec_of

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
        restored = origin.repair or (unchanged and last is not None and last.ending is Ending.APPLIED)
        ending, reason = (Ending.ADVISED, "") if origin.advisory else _ending(name, result)
        file = origin.files.get(name, "")
        yield Revision(
            at_s=at_s,
            service=name,
            cause=_cause(origin, removed=service is None, restored=restored),
            command=origin.command,
            who=f"{_user()}@{socket.gethostname()}",
            why=origin.why,
            source=file,
            git_revision=origin.git_revision
            if origin.git_revision is not None
            else (git_revision(Path(file).parent) if file else ""),
            spec=spec_of(service) if service else {},
            lock=lock_of(name, entry),
            digest=digest,
            instead_of=(last.instead_of or last.digest) if origin.rollback and last else "",
            actions=tuple(str(action) for action in actions.get(name, ())),
            forecast=forecasts.get(name),
            ending=ending,
            reason=reason,
        )


def _cause(origin: Origin, *, removed: bool, restored: bool) -> Cause:
    from enova.core.revision import Cause

    if removed:
        return Cause.REMOVAL
    if origin.rollback:
        return Cause.ROLLBACK
    return Cause.REPAIR if restored else Cause.CHANGE


def _ending(service: str, result: Result | None) -> tuple[Ending, str]:
    from enova.core.revision import Ending

    if result is None:
        return Ending.APPLIED, ""
    failed, stopped = _own(service, result.failures), _own(service, result.stopped)
    if failed:
        hindered = all(failure.retryable for failure in failed)
        return Ending.HINDERED if hindered else Ending.FAILED, _words(failed)
    if stopped:
        return Ending.STOPPED, _words(stopped)
    skipped = any(action.service == service for action in result.skipped)
    return (Ending.STOPPED, "not begun") if skipped else (Ending.APPLIED, "")


def _own(service: str, ends: Iterable[Failure]) -> list[Failure]:
    return [end for end in ends if end.action.service == service]


def _words(ends: Iterable[Failure]) -> str:
    return "\n".join(f"{end.action.target}: {end.message}" for end in ends)


def _git_revision(folder: Path) -> str:
    from enova.adapters.git import revision_of

    return revision_of(folder) or ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        # In a container a user may have a number and no name.
        return "unknown"
