"""Ctrl-C for the second time, in a process of its own: nothing after it runs in that process."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

STUCK = """
import sys, threading
from dataclasses import dataclass, replace
from enova.cli.app import run
from enova.cli.session import Session
from enova.settings import read_settings
from enova.testing import MemoryEngine, MemoryHost, memory_world

@dataclass(slots=True)
class Stuck(MemoryEngine):
    def health(self, url):
        print("stuck", file=sys.stderr, flush=True)
        threading.Event().wait()

def world(_):
    host = MemoryHost()
    return replace(memory_world(host), engine=Stuck(host))

sys.exit(run(["apply", "chat.yaml", "--yes"], Session(settings=read_settings(), open_world=world)))
"""


def test_the_second_ctrl_c_ends_it_at_once_and_frees_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chat.yaml").write_text("metadata: {name: chat}\nmodel: org/model\nengine: {kind: emulated}\n")
    monkeypatch.setenv("ENOVA_STATE_DIR", str(tmp_path / "state"))
    with subprocess.Popen(
        [sys.executable, "-c", STUCK], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as enova:
        assert enova.stderr
        read_until(enova.stderr, "stuck")
        enova.send_signal(signal.SIGINT)
        read_until(enova.stderr, "stopping after the steps under way")
        assert enova.poll() is None
        enova.send_signal(signal.SIGINT)

        assert enova.wait(timeout=20) == 130

    from enova.adapters.lock import exclusive

    with exclusive(tmp_path / "state" / "apply.lock", what="the next", now="later"):
        pass


def read_until(lines: Iterable[str], text: str) -> None:
    """Return once a line with `text` was read; fail if the stream ends before."""
    seen = []
    for line in lines:
        if text in line:
            return
        seen.append(line)
    pytest.fail(f"never said {text!r}: {seen}")
