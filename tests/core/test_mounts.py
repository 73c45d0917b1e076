"""Host paths find one place each in a container."""

from __future__ import annotations

from enova.core.launch import Mount
from enova.core.mounts import Mounts


def test_a_path_is_seen_under_its_last_part_read_only() -> None:
    mounts = Mounts()

    assert mounts.show("/data/tiny", "/models") == "/models/tiny"
    assert mounts.all() == (Mount("/data/tiny", "/models/tiny", read_only=True),)


def test_a_path_shown_twice_is_mounted_once() -> None:
    mounts = Mounts()

    assert mounts.show("/data/tiny", "/models") == mounts.show("/data/tiny", "/files")
    assert len(mounts.all()) == 1


def test_two_paths_with_one_last_part_have_two_places_that_keep_it() -> None:
    mounts = Mounts()
    targets = [mounts.show(path, "/models") for path in ("/a/tiny", "/b/tiny", "/c/tiny")]

    assert [target.rpartition("/")[2] for target in targets] == ["tiny"] * 3
    assert {mount.target: mount.source for mount in mounts.all()} == dict(
        zip(targets, ("/a/tiny", "/b/tiny", "/c/tiny"), strict=True)
    )


def test_places_are_the_same_every_time() -> None:
    """Pinned on purpose: if a place moves, an upgrade of Enova restarts every model that has one."""
    mounts = Mounts()
    mounts.show("/a/tiny", "/models")

    assert mounts.show("/b/tiny", "/models") == "/models/d7c0c343462566ed/tiny"


def test_the_same_name_in_two_folders_is_no_clash() -> None:
    mounts = Mounts()

    assert mounts.show("/a/tiny", "/models") == "/models/tiny"
    assert mounts.show("/b/tiny", "/files") == "/files/tiny"


def test_what_is_written_to_is_never_shown_in_place_of_what_is_read() -> None:
    mounts = Mounts()
    mounts.put("/data/cache", "/var/cache")

    assert mounts.show("/data/cache", "/models") == "/models/cache"
    assert mounts.all() == (Mount("/data/cache", "/models/cache"), Mount("/data/cache", "/var/cache", False))


def test_the_root_has_a_name_too() -> None:
    assert Mounts().show("/", "/models") == "/models/root"
