"""Where the specs are: a folder or file of this machine, or a git repository. Reading them changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from enova.adapters.git import GitCheckout, revision_of
from enova.adapters.specfiles import survey
from enova.core.spec import Service
from enova.errors import ObserveError, Problem

AGAIN_S = 2.0
"""Between looks at a folder that is not there."""
QUIET_MS = 300
"""Editors and `git pull` write several files; one look when they are done is enough."""


@dataclass(frozen=True, slots=True)
class Written:
    """One service of one file."""

    service: Service
    source: str
    """The file, under a name that stays the same from one commit to the next."""
    folder: Path
    """Where its lock is."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the files say at one time."""

    written: tuple[Written, ...] = ()
    """Of all files there is nothing wrong with."""
    problems: tuple[Problem, ...] = ()
    revision: str = ""


class Specs(Protocol):
    """A set of specs."""

    name: str

    def read(self) -> Reading:
        """Return what they say now. Raises ObserveError where they cannot be looked at."""
        ...

    def owns(self, source: str) -> bool:
        """Tell whether a file, of the present or the past, is one of them."""
        ...

    def follow(self, changed: Callable[[], None], stopped: threading.Event) -> None:
        """Call `changed` whenever they may have changed, until `stopped`. After ObserveError call it again."""
        ...

    def refresh(self) -> None:
        """Ask now for what is otherwise asked for now and then."""
        ...


@dataclass(slots=True)
class FolderSpecs:
    """A folder, or one file."""

    path: Path
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.path = self.path.absolute()
        self.name = str(self.path)

    def read(self) -> Reading:
        """Return what the files say now. A folder without any is an empty set; none at all cannot be looked at."""
        if not self.path.exists():
            raise ObserveError(f"{self.path} is not there", hint="restore it: until then all stays as it is")
        found = survey([self.name])
        empty = self.path.is_dir() and [problem.file for problem in found.problems] == [self.name]
        unreadable = empty and found.problems[0].message != "holds no spec file"
        problems = () if empty and not unreadable else found.problems
        written = tuple(Written(one.service, one.file, Path(one.file).parent) for one in found.files)
        folder = self.path if self.path.is_dir() else self.path.parent
        return Reading(written, problems, revision_of(folder) or "")

    def owns(self, source: str) -> bool:
        """Tell whether a file is below the folder, or is the file."""
        return Path(source).is_relative_to(self.path)

    def follow(self, changed: Callable[[], None], stopped: threading.Event) -> None:
        """Watch the file system. A folder that is put in the place of another is watched in its turn."""
        import watchfiles

        while not stopped.is_set():
            try:
                seen = _identity(self.path)
                for changes in watchfiles.watch(
                    # An editor puts a new file in the place of the old one, which only its folder sees.
                    self.path if self.path.is_dir() else self.path.parent,
                    watch_filter=None,
                    debounce=QUIET_MS,
                    stop_event=stopped,
                    rust_timeout=1000,
                    yield_on_timeout=True,
                    raise_interrupt=False,
                ):
                    if changes:
                        changed()
                    if _identity(self.path) != seen:
                        break
            except OSError as error:
                if stopped.wait(AGAIN_S):
                    return
                if self.path.exists() and not isinstance(error, FileNotFoundError):
                    raise ObserveError(f"{self.path} cannot be watched: {error}") from error
            changed()

    def refresh(self) -> None:
        """Do nothing: reading is asking."""


@dataclass(slots=True)
class GitSpecs:
    """A branch of a git repository, asked for its newest commit every `poll_s` and on `refresh`."""

    checkout: GitCheckout
    poll_s: float
    name: str = field(init=False)
    _ask: threading.Event = field(default_factory=threading.Event)
    _trouble: str = ""

    def __post_init__(self) -> None:
        self.name = str(self.checkout.address)

    def read(self) -> Reading:
        """Return what the newest commit says that was fetched."""
        commit = self.checkout.revision
        if commit is None:
            raise ObserveError(self._trouble or f"{self.name} was not fetched yet", hint="see `git ls-remote`")
        found = survey([str(self.checkout.path)])
        if not found.files and [one.message for one in found.problems] == ["holds no spec file"]:
            found = replace(found, problems=())
        written = tuple(Written(one.service, self._named(one.file), Path(one.file).parent) for one in found.files)
        problems = tuple(replace(one, file=self._named(one.file)) for one in found.problems)
        signed = {True: ", signed", False: "", None: ", its signature cannot be checked"}[commit.signed]
        revision = f"{commit.sha} ({commit.author}: {commit.subject}{signed})"
        if self._trouble:
            problems = (*problems, Problem(self.name, 0, 0, "", self._trouble))
        return Reading(written, problems, revision)

    def owns(self, source: str) -> bool:
        """Tell whether a file is of this branch and folder."""
        return source.startswith(f"{self.name}/")

    def follow(self, changed: Callable[[], None], stopped: threading.Event) -> None:
        """Fetch over and over."""
        before: tuple[str, str] | None = None
        while not stopped.is_set():
            self._ask.clear()
            try:
                sha, self._trouble = self.checkout.update(), ""
            except ObserveError as error:
                sha, self._trouble = "", error.message
            if (sha, self._trouble) != before:
                before = (sha, self._trouble)
                changed()
            waited_s = 0.0
            while waited_s < self.poll_s and not stopped.is_set() and not self._ask.wait(0.5):
                waited_s += 0.5

    def refresh(self) -> None:
        """Fetch now."""
        self._ask.set()

    def _named(self, file: str) -> str:
        path = Path(file)
        root = self.checkout.path
        return f"{self.name}/{path.relative_to(root)}" if path.is_relative_to(root) else self.name


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    # A file gets a new identity with every save; what matters is the folder that is watched.
    folder = found if path.is_dir() else path.parent.stat()
    return folder.st_dev, folder.st_ino
