"""Specs in a folder, and specs on a branch."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from enova.adapters.git import GitCheckout, parse_address
from enova.errors import ObserveError
from enova.watch.specs import FolderSpecs, GitSpecs, Reading, Specs

GOOD = "metadata: {name: chat}\nmodel: org/model\n"
BROKEN = "metadata: {name: chat\n"


@contextmanager
def followed(specs: Specs) -> Iterator[Callable[[], None]]:
    """Follow specs; yields what waits until they are said to have changed, and begins to wait anew."""
    changed, stopped = threading.Event(), threading.Event()
    thread = threading.Thread(target=specs.follow, args=(changed.set, stopped))
    thread.start()

    def wait() -> None:
        assert changed.wait(30), "nothing was said"
        changed.clear()

    try:
        yield wait
    finally:
        stopped.set()
        thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "specs"
    folder.mkdir()
    (folder / "chat.yaml").write_text(GOOD)
    return folder


def test_a_folder_is_read_file_by_file(folder: Path) -> None:
    (folder / "code.yaml").write_text(BROKEN)

    found = FolderSpecs(folder).read()

    assert [(one.service.name, one.source) for one in found.written] == [("chat", str(folder / "chat.yaml"))]
    assert [problem.file for problem in found.problems] == [str(folder / "code.yaml")]


def test_an_emptied_folder_is_an_empty_set_and_a_missing_one_is_unknown(folder: Path) -> None:
    specs = FolderSpecs(folder)
    (folder / "chat.yaml").unlink()
    assert specs.read() == Reading()

    folder.rmdir()
    with pytest.raises(ObserveError, match="is not there"):
        specs.read()


def test_one_file_is_a_set_of_its_own(folder: Path) -> None:
    specs = FolderSpecs(folder / "chat.yaml")

    assert [one.service.name for one in specs.read().written] == ["chat"]
    assert specs.owns(str(folder / "chat.yaml"))
    assert not specs.owns(str(folder / "code.yaml"))


def test_it_owns_what_is_below_it(folder: Path) -> None:
    specs = FolderSpecs(folder)

    assert specs.owns(str(folder / "team" / "gone.yaml"))
    assert not specs.owns(str(folder.parent / "specs-of-others" / "chat.yaml"))
    assert not specs.owns("git+https://example.com/specs.git/chat.yaml")


def test_a_file_that_is_written_or_replaced_is_noticed(folder: Path) -> None:
    with followed(FolderSpecs(folder)) as noticed:
        time.sleep(0.5)
        (folder / "chat.yaml").write_text(BROKEN)
        noticed()
        (folder / ".new").write_text(GOOD)
        (folder / ".new").replace(folder / "chat.yaml")
        noticed()


def test_one_file_that_is_replaced_is_noticed_every_time(folder: Path) -> None:
    with followed(FolderSpecs(folder / "chat.yaml")) as noticed:
        time.sleep(0.5)
        for _ in range(2):
            (folder / ".new").write_text(GOOD)
            (folder / ".new").replace(folder / "chat.yaml")
            noticed()


def test_a_folder_that_is_removed_and_put_back_is_followed_again(folder: Path) -> None:
    away = folder.with_name("away")
    with followed(FolderSpecs(folder)) as noticed:
        time.sleep(0.5)
        folder.rename(away)
        noticed()
        away.rename(folder)
        noticed()
        time.sleep(0.5)
        (folder / "chat.yaml").write_text(BROKEN)
        noticed()


class Remote:
    """A bare repository, and a clone to push from."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.work = folder / "remote.git", folder / "work"
        subprocess.run(["git", "init", "-q", "--bare", self.bare], check=True)
        subprocess.run(["git", "init", "-q", self.work], check=True)

    def push(self, **files: str) -> None:
        """Commit files, by name without `.yaml`, and push them to main."""
        for name, text in files.items():
            (self.work / f"{name}.yaml").write_text(text)
        identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"]
        for words in (
            ["add", "-A"],
            ["commit", "-qm", "Serve"],
            ["push", "-q", str(self.bare), "HEAD:refs/heads/main"],
        ):
            subprocess.run(["git", "-C", self.work, *identity, *words], check=True)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    remote = Remote(tmp_path)
    remote.push(chat=GOOD)
    return remote


@pytest.fixture
def branch(remote: Remote, tmp_path: Path) -> GitSpecs:
    address = parse_address(f"git+file://{remote.bare}#main")
    return GitSpecs(GitCheckout(tmp_path / "checkout", address), poll_s=0.5)


def test_nothing_is_known_of_a_branch_before_it_was_fetched(branch: GitSpecs) -> None:
    with pytest.raises(ObserveError, match="was not fetched yet"):
        branch.read()


def test_files_of_a_branch_keep_their_names_from_one_commit_to_the_next(remote: Remote, branch: GitSpecs) -> None:
    name = f"git+file://{remote.bare}#main/chat.yaml"
    with followed(branch) as noticed:
        noticed()
        before = branch.read()
        remote.push(chat=GOOD.replace("org/model", "org/other"))
        noticed()
        after = branch.read()

    assert [one.source for one in (*before.written, *after.written)] == [name, name]
    assert [str(one.service.model.id) for one in after.written] == ["org/other"]
    assert before.revision != after.revision
    assert after.revision.endswith("(Ann: Serve)")
    assert branch.owns(name)
    assert not branch.owns(name.replace("#main", "#other"))


def test_a_broken_file_of_a_branch_is_told_by_its_name(remote: Remote, branch: GitSpecs) -> None:
    remote.push(code=BROKEN)
    with followed(branch) as noticed:
        noticed()

    found = branch.read()

    assert [one.service.name for one in found.written] == ["chat"]
    assert [problem.file for problem in found.problems] == [f"git+file://{remote.bare}#main/code.yaml"]


def test_a_remote_that_cannot_be_reached_is_told_and_leaves_what_was_read(
    remote: Remote, branch: GitSpecs
) -> None:
    with followed(branch) as noticed:
        noticed()
        remote.bare.rename(remote.bare.with_name("away.git"))
        noticed()
        found = branch.read()
        remote.bare.with_name("away.git").rename(remote.bare)
        noticed()

    assert [one.service.name for one in found.written] == ["chat"]
    assert "remote.git" in found.problems[0].message
    assert branch.read().problems == ()


def test_a_hook_has_it_fetch_at_once(remote: Remote, branch: GitSpecs) -> None:
    branch.poll_s = 3600
    with followed(branch) as noticed:
        noticed()
        remote.push(chat=GOOD.replace("org/model", "org/other"))
        branch.refresh()
        noticed()

    assert [str(one.service.model.id) for one in branch.read().written] == ["org/other"]
