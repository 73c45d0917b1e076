"""The newest commit of a branch as a tree of its own.

In the folder of a checkout there are `repository` (a shallow bare clone, no more than a cache), a folder for each
of the last two commits, and `newest.json`, which says what is in the newest one. Only what is whole gets its name,
so that a reader never sees a tree that changes, and an update that was killed leaves nothing to trip over.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from enova.adapters.git.address import GitAddress
from enova.adapters.git.command import GitFailed, run_git, without_credentials
from enova.adapters.git.record import GitCommit, Record
from enova.errors import ObserveError

_SHA = re.compile(r"[0-9a-f]{40}")
_FETCHED = "refs/enova/fetched"


class GitCheckout:
    """The newest commit at an address as a folder of specs, kept below `folder` from one start to the next."""

    def __init__(self, folder: Path, address: GitAddress) -> None:
        self.folder = folder
        self.address = address
        self._repository = folder / "repository"
        self._record = folder / "newest.json"

    @property
    def path(self) -> Path:
        """The folder of the specs in the newest tree. Raises ObserveError before there is any."""
        commit = self.revision
        if commit is None:
            raise ObserveError(f"nothing was fetched from {self._shown} yet", hint="wait until it can be reached")
        return self.folder / commit.sha / self.address.subdir

    @property
    def revision(self) -> GitCommit | None:
        """What the newest tree was made from, as the disk has it; None before there is any of this address."""
        record = self._recorded()
        if record is None or record.address != str(self.address):
            return None
        return record.commit if (self.folder / record.commit.sha).is_dir() else None

    def update(self) -> str:
        """Fetch the newest commit, make its tree where there is none yet, and return its 40 hex digits.

        Raises ObserveError, after which the tree there was stays the newest.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._clear_unfinished()
                sha = self._fetch()
                try:
                    commit = self._commit(sha)
                    self._require_subdir(sha)
                    if not (self.folder / sha).is_dir():
                        self._make_tree(sha)
                except GitFailed as error:
                    # All of it is in the clone: something there is broken, which the next update is not to find.
                    shutil.rmtree(self._repository, ignore_errors=True)
                    raise self._failure(error, "nothing to do: the next update makes a new clone") from error
                self._finish(commit)
                return sha
        except OSError as error:
            raise ObserveError(
                f"{self.folder}: cannot be written: {error}", hint="check the folder, and the room on its disk"
            ) from error

    @property
    def _shown(self) -> str:
        return without_credentials(str(self.address))

    def _failure(self, error: GitFailed, hint: str) -> ObserveError:
        return ObserveError(f"{self._shown}: {error}", hint=hint)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.folder / "update.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ObserveError(
                    f"{self.folder}: another process updates it", hint="wait for it to end, or stop it"
                ) from error
            yield

    def _clear_unfinished(self) -> None:
        """Remove what an update that was killed left: git would wait for the holders of its locks for ever."""
        for left in (*self.folder.glob(".new-*"), *self.folder.glob(".old-*")):
            shutil.rmtree(left, ignore_errors=True)
        for lock in self._repository.rglob("*.lock"):
            lock.unlink(missing_ok=True)

    def _in_repository(self, *words: str, places: Mapping[str, str] | None = None) -> str:
        return run_git(f"--git-dir={self._repository}", *words, places=places)

    def _fetch(self) -> str:
        """Bring in the newest commit and nothing before it, and return it."""
        source = f"refs/heads/{self.address.branch}" if self.address.branch else "HEAD"
        options = ("--quiet", "--depth=1", "--no-tags", "--no-auto-gc", "--no-recurse-submodules")
        try:
            run_git("init", "--quiet", "--bare", "--template=", str(self._repository))
            self._in_repository("fetch", *options, "--", self.address.url, f"+{source}:{_FETCHED}")
            return self._in_repository("rev-parse", "--verify", f"{_FETCHED}^{{commit}}").strip()
        except GitFailed as error:
            self._remove_broken_repository()
            if "couldn't find remote ref" in str(error):
                hint = (
                    "check the name of the branch"
                    if self.address.branch
                    else "push a first commit, or name a branch"
                )
            else:
                url = without_credentials(self.address.url)
                hint = f"see whether git alone can reach it, as the same user: git ls-remote {url}"
            raise self._failure(error, hint) from error

    def _remove_broken_repository(self) -> None:
        """See to it that a clone a power cut broke is not what every later update fails at."""
        try:
            self._in_repository("fsck", "--connectivity-only", "--no-dangling")
        except GitFailed:
            shutil.rmtree(self._repository, ignore_errors=True)

    def _commit(self, sha: str) -> GitCommit:
        text = self._in_repository("log", "-1", "--format=%an%x00%ct%x00%G?%x00%s", sha)
        author, at_s, status, subject = text.rstrip("\n").split("\0")
        signed = {"G": True, "U": True, "N": False}.get(status)
        if signed is False:
            # Where the program that checks signatures is missing, git says "no signature" too.
            header, _, _ = self._in_repository("cat-file", "commit", sha).partition("\n\n")
            signed = None if re.search(r"^gpgsig", header, re.MULTILINE) else False
        return GitCommit(sha, author, subject, int(at_s), signed)

    def _require_subdir(self, sha: str) -> None:
        subdir = self.address.subdir
        if not subdir:
            return
        hint = "check the folder after the branch: it is named from the repository's top"
        try:
            kind = self._in_repository("cat-file", "-t", f"{sha}:{subdir}").strip()
        except GitFailed as error:
            raise self._failure(error, hint) from error
        if kind != "tree":
            raise ObserveError(f"{self._shown}: {subdir} is not a folder in {sha}", hint=hint)

    def _make_tree(self, sha: str) -> None:
        new = Path(tempfile.mkdtemp(dir=self.folder, prefix=".new-"))
        try:
            tree = new / "tree"
            tree.mkdir()
            # Not `git archive`: it leaves out and rewrites what the repository's attributes tell it to.
            self._in_repository(
                f"--work-tree={tree}",
                "read-tree",
                "--reset",
                "-u",
                sha,
                places={"GIT_INDEX_FILE": str(new / "index")},
            )
            # A power cut after the rename must not leave empty files: they would read as no services.
            for file in tree.rglob("*"):
                if file.is_file():
                    with file.open("rb") as opened:
                        os.fsync(opened.fileno())
            tree.rename(self.folder / sha)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _finish(self, commit: GitCommit) -> None:
        """Make a whole tree the newest one, and remove all but it and the one before."""
        old = self._recorded()
        previous = None
        if old is not None:
            previous = old.commit.sha if old.commit.sha != commit.sha else old.previous
        record = Record(str(self.address), commit, previous)
        if record != old:
            record.write(self._record)
        for tree in self.folder.iterdir():
            if _SHA.fullmatch(tree.name) and tree.name not in (commit.sha, previous):
                # Renamed first: half a tree must not have the name of a whole one.
                gone = tree.rename(self.folder / f".old-{tree.name}")
                shutil.rmtree(gone, ignore_errors=True)
        if old is None or old.commit.sha != commit.sha:
            with suppress(GitFailed):
                self._in_repository(
                    "-c", "gc.autoDetach=false", "-c", "gc.pruneExpire=now", "gc", "--auto", "--quiet"
                )

    def _recorded(self) -> Record | None:
        try:
            return Record.read(self._record)
        except (OSError, ValueError, TypeError, KeyError):
            return None
