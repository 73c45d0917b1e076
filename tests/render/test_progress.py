"""News about actions as lines."""

from __future__ import annotations

from typing import Any

from enova.core.launch import Kind
from enova.core.plan import Action, Verb
from enova.render.progress import Board, plain
from tests.staging import replica


def action(**changes: Any) -> Action:
    launch = replica(**changes)
    return Action(verb=Verb.CREATE, target="chat#0", service="chat", cause="not found", wave=0, launch=launch)


def test_every_step_is_a_line_and_so_is_the_end() -> None:
    board, create = Board(), action()

    lines = [board.news(create, "running", step, now) for now, step in enumerate(["create", "start", "probe"])]
    lines.append(board.news(create, "done", "", 12.34))

    assert lines == [
        "+ create chat#0: create",
        "+ create chat#0: start",
        "+ create chat#0: probe",
        "+ create chat#0: done in 12.3 s",
    ]
    assert board.rows == {}


def test_details_are_told_at_most_every_five_seconds() -> None:
    board, create = Board(), action()
    board.news(create, "running", "create", 0.0)

    told = {now: board.news(create, "running", f"pulling: {now} %", float(now)) for now in range(12)}

    assert {now: line for now, line in told.items() if line} == {
        5: "+ create chat#0: create: pulling: 5 %",
        10: "+ create chat#0: create: pulling: 10 %",
    }
    (row,) = board.rows.values()
    assert (row.step, row.detail) == ("create", "pulling: 11 %")


def test_the_same_news_again_is_no_news() -> None:
    board, create = Board(), action()
    board.news(create, "running", "drain", 0.0)

    assert board.news(create, "running", "drain", 60.0) is None
    assert board.news(create, "running", "drain: 2 in flight", 61.0) == "+ create chat#0: drain: 2 in flight"
    assert board.news(create, "running", "drain: 2 in flight", 120.0) is None


def test_of_a_failure_the_first_line_is_told() -> None:
    line = Board().news(action(), "failed", "it exited with code 1\n    | Traceback", 1.0)

    assert line == "+ create chat#0: failed: it exited with code 1"


def test_an_emulated_engine_is_called_that() -> None:
    line = Board().news(action(kind=Kind.EMULATED), "running", "start", 0.0)

    assert line == "+ create chat#0 (emulated): start"


def test_what_an_engine_wrote_cannot_move_the_cursor() -> None:
    assert plain("\x1b[2K\x1b[31mloading\x1b[0m 50 %\x07") == "loading 50 %"
    assert plain("\x1b]0;title\x07text\tmore") == "text\tmore"
