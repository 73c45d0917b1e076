"""One holder at a time, on the kernel's word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from enova.adapters.lock import exclusive
from enova.errors import ApplyError

HOLD = """
import sys
from pathlib import Path
from enova.adapters.lock import exclusive
with exclusive(Path(sys.argv[1]), what="enova apply", now="noon"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_told_who_is_the_first(tmp_path: Path) -> None:
    path = tmp_path / "state" / "apply.lock"

    with (
        exclusive(path, what="enova apply", now="noon"),
        pytest.raises(ApplyError) as caught,
        exclusive(path, what="enova delete", now="later"),
    ):
        pytest.fail("two hold one lock")

    assert caught.value.message.startswith(f"enova apply (pid {os.getpid()} on ")
    assert caught.value.message.endswith(", since noon) is at work")


def test_it_can_be_held_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "apply.lock"
    for now in ("noon", "later"):
        with exclusive(path, what="enova apply", now=now):
            assert f"since {now})" in path.read_text()

    assert path.read_text() == ""


def test_what_fails_inside_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "apply.lock"
    with pytest.raises(KeyError), exclusive(path, what="enova apply", now="noon"):
        raise KeyError

    with exclusive(path, what="enova apply", now="later"):
        assert "since later)" in path.read_text()


def test_a_holder_that_is_killed_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "apply.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ApplyError, match=f"pid {holder.pid} "), exclusive(path, what="b", now="later"):
            pytest.fail("two hold one lock")
        holder.kill()
        holder.wait()

        with exclusive(path, what="enova delete", now="later"):
            assert "enova delete" in path.read_text()
