"""Lock files on disk: read whole, written at once or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from enova.adapters.lockfile import read_lock, write_lock
from enova.core.lockfile import Entry, lock_text
from enova.errors import LockError
from tests.written import written

LOCK = {"chat": Entry(inputs="v1:aaaa", inventory="v1:bbbb", chosen={"gpu": "h100-sxm"})}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "enova.lock"

    assert write_lock(path, LOCK)
    assert (read_lock(path), path.stat().st_mode & 0o777) == (LOCK, 0o644)


def test_where_there_is_no_file_nothing_is_locked(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "enova.lock") == {}


def test_a_file_that_holds_just_that_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "enova.lock"
    write_lock(path, LOCK)
    before = written(path)

    assert not write_lock(path, LOCK)
    assert written(path) == before


def test_windows_line_ends_are_made_unix_ones(tmp_path: Path) -> None:
    path = tmp_path / "enova.lock"
    path.write_bytes(lock_text(LOCK).replace("\n", "\r\n").encode())

    assert read_lock(path) == LOCK


def test_a_folder_that_cannot_be_written_to_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "enova.lock"

    with pytest.raises(LockError) as raised:
        write_lock(path, LOCK)

    assert raised.value.message.startswith(f"{path}: cannot be written: ")
    assert raised.value.hint == "check the folder, or use --locked"
    assert list(tmp_path.iterdir()) == []


def test_a_failure_half_way_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "enova.lock"
    write_lock(path, LOCK)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(LockError, match=r"cannot be written: .*No space left"):
        write_lock(path, {})

    assert [one.name for one in tmp_path.iterdir()] == ["enova.lock"]
    assert read_lock(path) == LOCK


@pytest.mark.parametrize("content", [b"\xff\xfe", None], ids=["no UTF-8", "a folder"])
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "enova.lock"
    path.mkdir() if content is None else path.write_bytes(content)

    with pytest.raises(LockError) as raised:
        read_lock(path)

    assert raised.value.message.startswith(f"{path}: cannot be read: ")


def test_what_is_wrong_in_it_is_said_under_its_path(tmp_path: Path) -> None:
    path = tmp_path / "enova.lock"
    path.write_text("version = 7\n", encoding="utf-8")

    with pytest.raises(LockError, match="has version 7, this Enova reads 1") as raised:
        read_lock(path)

    assert raised.value.message.startswith(f"{path}: ")
