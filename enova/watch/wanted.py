"""What is wanted of every service: from the files, their locks, and what was applied before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from enova.adapters.history import History
from enova.adapters.lockfile import read_lock
from enova.advise import Wish
from enova.core.lockfile import NAME, Entry
from enova.core.recommend.inputs import inputs_digest
from enova.core.revision import Cause, Ending, Revision, before
from enova.core.watch.deletion import refusal
from enova.core.watch.version import Because, InForce, Version, in_force, version_of, version_with
from enova.errors import EnovaError, LockError, ObserveError, Problem
from enova.watch.specs import Reading, Specs, Written


@dataclass(frozen=True, slots=True)
class Wanted:
    """What holds at one time."""

    services: Mapping[str, InForce]
    gone: frozenset[str] = frozenset()
    """Services of these specs that no file names any more."""
    refusal: str = ""
    """Why those must not be removed; empty if they may."""
    problems: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Services that are planned for together."""

    services: Mapping[str, InForce]
    wish: Wish


@dataclass(slots=True)
class Memory:
    """What was read before, for when it cannot be read any more."""

    specs: Specs
    history: History
    inputs: Callable[[str], str]
    """The digest of a file that choices depend on."""
    _written: dict[str, Version] = field(default_factory=dict)
    """The last good version of each service, as its file said it."""
    _newest: dict[str, Revision] = field(default_factory=dict)
    _unkept: dict[str, Revision] = field(default_factory=dict)
    """What could not be written into the history."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def remember(self, revisions: Iterable[Revision]) -> None:
        """Take in what the history could not be given."""
        with self._lock:
            self._unkept |= {one.service: one for one in revisions if one.cause is not Cause.REPAIR}

    def kept(self, service: str) -> None:
        """Take in that the history has what is newest of a service."""
        with self._lock:
            self._unkept.pop(service, None)

    def newest(self) -> dict[str, Revision]:
        """Return the last revision of each service that says what is wanted. Raises EnovaError."""
        with self._lock:
            unkept = dict(self._unkept)
        self._newest = self.history.newest_revisions()
        return self._newest | unkept

    def newest_known(self) -> dict[str, Revision]:
        """Return the same as far as it was read before."""
        with self._lock:
            return self._newest | self._unkept

    def look(self) -> Wanted:
        """Return what is wanted now. What cannot be read leaves things as they were, and is told."""
        unseen: list[str] = []
        try:
            newest = self.newest()
        except EnovaError as error:
            unseen.append(f"what was applied before: {error.message}")
            newest = self.newest_known()
        reading, blind = Reading(), False
        try:
            reading = self.specs.read()
        except ObserveError as error:
            unseen.append(f"{error.message}{f' ({error.hint})' if error.hint else ''}")
            blind = True
        versions, problems = self._versions(reading, newest)
        stale = self._stale(versions, newest)
        unsure = blind or bool(problems)
        gone = frozenset() if unsure else frozenset(stale)
        refused = refusal(gone, versions)
        services = {name: self._in_force(version, newest) for name, version in versions.items()}
        if unsure or refused:
            # Whether they were deleted cannot be told yet, so that they stay in force.
            reason = "its file was not seen" if blind else "its file is broken or gone" if unsure else refused
            services |= {name: self._kept_in_force(one, newest, reason) for name, one in stale.items()}
        self._written = {**(stale if unsure or refused else {}), **versions}
        return Wanted(
            services=services,
            gone=gone,
            refusal=refused,
            problems=tuple(str(one) for one in problems),
            unseen=tuple(unseen),
            revision=reading.revision,
        )

    def _versions(
        self, reading: Reading, newest: Mapping[str, Revision]
    ) -> tuple[dict[str, Version], tuple[Problem, ...]]:
        problems = list(reading.problems)
        locks: dict[Path, dict[str, Entry] | None] = {}
        versions: dict[str, Version] = {}
        for one in reading.written:
            if one.folder not in locks:
                locks[one.folder] = _lock_in(one, problems)
            lock = locks[one.folder]
            if lock is None:
                continue
            name = one.service.name
            inputs = inputs_digest(one.service, self.inputs)
            versions[name] = version_with(
                one.service, one.source, locked=lock.get(name), newest=newest.get(name), inputs=inputs
            )
        return versions, tuple(problems)

    def _stale(self, versions: Mapping[str, Version], newest: Mapping[str, Revision]) -> dict[str, Version]:
        """Return the services of these specs that no readable file names now, as they were last."""
        found: dict[str, Version] = {}
        for name, revision in newest.items():
            if name in versions or revision.cause is Cause.REMOVAL or not self.specs.owns(revision.source):
                continue
            version = version_of(revision) if revision.ending is Ending.APPLIED else self._before(name)
            if version is not None:
                found[name] = replace(version, source=revision.source)
        removed = {name for name, revision in newest.items() if revision.cause is Cause.REMOVAL}
        # What was read last is newer than what was applied last, and is known without a history, too.
        read = {name: one for name, one in self._written.items() if name not in {*versions, *removed}}
        return found | read

    def _before(self, name: str) -> Version | None:
        try:
            revision = before(self.history.revisions(name))
        except EnovaError:
            return None
        return version_of(revision) if revision else None

    def _in_force(self, version: Version, newest: Mapping[str, Revision]) -> InForce:
        name = version.service.name

        def earlier() -> Revision | None:
            try:
                return before(self.history.revisions(name))
            except EnovaError:
                return None

        return in_force(version, newest.get(name), earlier)

    def _kept_in_force(self, version: Version, newest: Mapping[str, Revision], reason: str) -> InForce:
        return replace(self._in_force(version, newest), because=Because.BROKEN, reason=reason)


def _lock_in(one: Written, problems: list[Problem]) -> dict[str, Entry] | None:
    path = one.folder / NAME
    try:
        return read_lock(path)
    except LockError as error:
        problems.append(Problem(str(path), 0, 0, "", error.message.removeprefix(f"{path}: "), error.hint))
        return None
