"""What is under way."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from enova.executor import Progress, Result
from enova.tick import Tick, plan
from enova.watch import work
from enova.watch.work import Job, Work
from tests.watch.watching import Watched


def planned(watched: Watched) -> Tick:
    watched.write()
    (one,) = watched.daemon.specs.read().written
    return plan([one.service], watched.daemon.world)


def test_a_mistake_in_one_rollout_ends_that_one_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path)
    tick = planned(watched)

    def broken(*_: object) -> Result:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(work, "apply", broken)
    told = list[tuple[str, Result | None, str]]()
    jobs = Work(watched.daemon.world, lambda _: None)

    jobs.begin(
        Job("chat", "a", "a", tick), lambda job, result, trouble: told.append((job.service, result, trouble))
    )
    jobs.join(30)

    assert told == [("chat", None, "unexpected ZeroDivisionError: a mistake")]
    assert jobs.jobs() == {}


def test_once_it_is_enough_the_step_under_way_ends_and_no_other_begins(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    tick = planned(watched)
    ended = list[Result | None]()

    def enough(progress: Progress) -> None:
        jobs.enough.set()

    jobs = Work(watched.daemon.world, enough)
    jobs.begin(Job("chat", "a", "a", tick), lambda _, result, __: ended.append(result))
    jobs.join(30)

    (result,) = ended
    assert result is not None
    assert [action.target for action in result.done] == ["chat@gateway"]
    assert [action.target for action in result.skipped] == ["chat#0", "chat#1"]


def test_the_gpus_it_was_promised_are_told(tmp_path: Path) -> None:
    job = Job("chat", "a", "a", planned(Watched(tmp_path)), threading.Event())

    assert len(job.gpus) == 2
