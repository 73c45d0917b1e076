"""Which version of a service is in force: what its file says, or what stands in for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from enova.core.lockfile import Entry
from enova.core.revision import Cause, Ending, Revision, digest_of, spec_of, stalled
from enova.core.spec import Service
from enova.errors import LockError


class Because(StrEnum):
    """Why a version is in force."""

    WRITTEN = "as written"
    BROKEN = "last good"
    """Its file cannot be used, or was not seen."""
    ROLLBACK = "rolled back"
    """The user went back to it, and the file has not changed since."""
    STALLED = "stalled"
    """What the file says was tried and does not serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A service as somebody wrote it, with what was chosen for what that leaves open."""

    service: Service
    entry: Entry | None = None
    """None: nothing was chosen yet."""
    source: str = ""
    """The file it is written in."""

    @property
    def digest(self) -> str:
        """Return what it is compared by."""
        return digest_of(self.service, self.entry)

    @property
    def spec_digest(self) -> str:
        """Return what its spec alone is compared by."""
        return digest_of(self.service, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What holds for one service."""

    version: Version | None
    """None: what is written does not serve, and nothing before it did: it is left as it is."""
    because: Because = Because.WRITTEN
    reason: str = ""
    """In words, where it is not simply what is written."""
    changed: bool = False
    """Whether it is yet to be applied, or to be tried again; else only drift is repaired."""


def version_with(
    service: Service, source: str, *, locked: Entry | None, newest: Revision | None, inputs: str
) -> Version:
    """Return the version a file says.

    `locked` is what the lock beside it chose; `newest` what was applied last; `inputs` the digest of what choices
    for the service depend on. Without a lock, what was chosen for the very same spec before holds on.
    """
    if locked is not None and locked.inputs == inputs:
        return Version(service=service, entry=locked, source=source)
    before = version_of(newest) if newest and newest.spec == spec_of(service) else None
    return Version(service=service, entry=before.entry if before else None, source=source)


def version_of(revision: Revision) -> Version | None:
    """Return what a revision applied; None for a removal, and for what this version of Enova does not take."""
    if not revision.spec:
        return None
    try:
        entry = revision.chosen.get(revision.service)
        return Version(service=revision.written, entry=entry, source=revision.source)
    except (ValueError, LockError):
        return None


def in_force(written: Version, newest: Revision | None, earlier: Callable[[], Revision | None]) -> InForce:
    """Return what holds of a service whose file says `written`.

    `newest` is the last of its revisions that says what is wanted, and `earlier` returns the one a rollback would
    go to.
    """
    digest = written.digest
    if newest is None:
        return InForce(version=written, changed=True)
    failed = stalled(newest, digest)
    if failed:
        before = earlier()
        version = version_of(before) if before else None
        kept = f"revision {before.number} stays" if before and version else "it is left as it is"
        return InForce(version=version, because=Because.STALLED, reason=f"{kept}; {failed.reason}")
    if newest.cause is Cause.ROLLBACK and newest.ending is Ending.APPLIED and newest.instead_of == digest:
        version = version_of(newest)
        if version:
            reason = f"by {newest.who or 'somebody'}, until its file changes"
            return InForce(version=version, because=Because.ROLLBACK, reason=reason)
    return InForce(version=written, changed=newest.digest != digest or newest.ending is not Ending.APPLIED)
