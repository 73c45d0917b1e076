"""One daemon acts, the next one waits."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from enova.watch import leader
from enova.watch.leader import leading, place


def test_what_is_kept_of_a_daemon_is_by_its_specs() -> None:
    state = Path("/state")

    assert place(state, "/specs") == place(state, "/specs")
    assert len({place(state, "/specs"), place(state, "/other"), place(state, "/specs", advisory=True)}) == 3


@dataclass
class Daemons:
    """Several that want to lead by one lock."""

    lock: Path
    said: list[str] = field(default_factory=list)
    quitting: threading.Event = field(default_factory=threading.Event)
    leads: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def leading(self) -> AbstractContextManager[bool]:
        return leading(
            self.lock, what="enova watch", timestamp=lambda: "noon", say=self.said.append, quitting=self.quitting
        )

    def second(self) -> threading.Thread:
        """Start another one, which leads until it is over."""

        def run() -> None:
            with self.leading() as leads:
                if leads:
                    self.leads.set()
                    self.over.wait(30)

        thread = threading.Thread(target=run)
        thread.start()
        return thread


def test_a_second_one_waits_says_for_whom_and_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "AGAIN_S", 0.05)
    daemons = Daemons(tmp_path / "w.lock")
    with daemons.leading() as first:
        assert first
        second = daemons.second()
        assert not daemons.leads.wait(0.5)

    assert daemons.leads.wait(30)
    daemons.over.set()
    second.join(30)
    (words,) = daemons.said
    assert words.startswith("waiting to take over: enova watch (pid ")
    assert words.endswith(", since noon) is at work")


def test_one_that_is_to_end_waits_no_longer(tmp_path: Path) -> None:
    daemons = Daemons(tmp_path / "w.lock")
    with daemons.leading():
        second = daemons.second()
        daemons.quitting.set()
        second.join(30)

    assert not second.is_alive()
    assert not daemons.leads.is_set()
