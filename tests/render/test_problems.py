"""Problems as text, JSON and GitHub annotations."""

from __future__ import annotations

import json

from enova.errors import Problem
from enova.render import problems as render

LOCATED = Problem("specs/a.yaml", 3, 7, "engine.max_num_seq", "unknown key", "did you mean max_num_seqs?")
WHOLE = Problem("specs", 0, 0, "", "holds no spec file")


def test_text_is_one_line_for_each_problem() -> None:
    assert render.as_text([LOCATED, WHOLE]) == (
        "specs/a.yaml:3:7: engine.max_num_seq: unknown key (hint: did you mean max_num_seqs?)\n"
        "specs:0:0: holds no spec file"
    )


def test_json_says_whether_all_is_valid() -> None:
    assert json.loads(render.as_json([])) == {"schema_version": 1, "valid": True, "problems": []}


def test_json_holds_every_part() -> None:
    assert json.loads(render.as_json([LOCATED]))["problems"] == [
        {
            "file": "specs/a.yaml",
            "line": 3,
            "column": 7,
            "path": "engine.max_num_seq",
            "message": "unknown key",
            "hint": "did you mean max_num_seqs?",
        }
    ]


def test_github_shows_the_problem_at_its_place() -> None:
    assert render.as_github([LOCATED]) == (
        "::error file=specs/a.yaml,line=3,col=7,title=engine.max_num_seq::"
        "unknown key (hint: did you mean max_num_seqs?)"
    )


def test_github_gets_no_line_for_a_problem_of_a_whole_file() -> None:
    assert render.as_github([WHOLE]) == "::error file=specs::holds no spec file"


def test_github_text_is_escaped() -> None:
    odd = Problem("a,b:c%.yaml", 1, 2, "x,y", "100%\r\nof ::it")

    assert render.as_github([odd]) == (
        "::error file=a%2Cb%3Ac%25.yaml,line=1,col=2,title=x%2Cy::100%25%0D%0Aof ::it"
    )
