"""The plan as a comment, and the checksum that was reviewed: who is believed, and what is said where nobody is."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.users_ci.github import REPOSITORY, GitHub
from tests.users_ci.runner import ROOT

BOT = "github-actions[bot]"
PULL_REQUEST = {"pull_request": {"number": 7, "head": {"sha": "c0ffee"}}}
CHECKSUM = "0123456789abcdef"
MARKER = f"<!-- enova {hashlib.sha256(b'Enova plan').hexdigest()[:12]} checksum={CHECKSUM} -->\n"


def review(
    github: GitHub, folder: Path, verb: str, event: dict[str, Any], **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the script as the action's steps do."""
    file = folder / "event.json"
    file.write_text(json.dumps(event), encoding="utf-8")
    job = {
        "AUTHOR": BOT,
        "CHECKSUM": CHECKSUM,
        "GITHUB_API_URL": github.url,
        "GITHUB_EVENT_PATH": str(file),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_SHA": "abc123",
        "GITHUB_TOKEN": "secret-token",
        "RUNNER_TEMP": str(folder),
        "TITLE": "Enova plan",
    }
    return subprocess.run(
        [sys.executable, str(ROOT / "action" / "review.py"), verb],
        env=os.environ | job | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def planned(folder: Path, text: str, name: str = "plan.md") -> None:
    (folder / "enova").mkdir(exist_ok=True)
    (folder / "enova" / name).write_text(text, encoding="utf-8")


def test_a_plan_is_found_again_among_pages_of_comments_and_written_over(github: GitHub, tmp_path: Path) -> None:
    for number in range(5):
        github.comment(f"remark {number}", "somebody")
    planned(tmp_path, "the first plan")
    review(github, tmp_path, "comment", PULL_REQUEST)
    planned(tmp_path, "the second plan")

    done = review(github, tmp_path, "comment", PULL_REQUEST)

    assert done.returncode == 0, done.stderr
    assert github.bodies()[5:] == [f"{MARKER}### Enova plan\n\nthe second plan\n<sub>For c0ffee</sub>\n"]
    assert github.tokens == {"Bearer secret-token"}


def test_plans_with_titles_of_their_own_have_comments_of_their_own(github: GitHub, tmp_path: Path) -> None:
    planned(tmp_path, "a plan")

    for title in ("Berlin", "Paris", "Berlin"):
        review(github, tmp_path, "comment", PULL_REQUEST, TITLE=title)

    assert [body.splitlines()[1] for body in github.bodies()] == ["### Berlin", "### Paris"]


def test_where_there_is_no_plan_the_comment_says_why(github: GitHub, tmp_path: Path) -> None:
    planned(tmp_path, "error: <no> plan\n", "plan.err")

    review(github, tmp_path, "comment", PULL_REQUEST, CHECKSUM="")

    body = github.bodies()[0]
    assert "checksum=none -->" in body
    assert "**There is no plan.**\n\n<pre>error: &lt;no&gt; plan</pre>\n" in body


def test_a_plan_that_is_too_long_for_a_comment_is_cut_off(github: GitHub, tmp_path: Path) -> None:
    planned(tmp_path, "x" * 100_000)

    review(github, tmp_path, "comment", PULL_REQUEST)

    assert len(github.bodies()[0]) < 65_536
    assert "The rest is in the summary of the job.\n" in github.bodies()[0]


def test_a_token_that_may_not_comment_is_a_warning(github: GitHub, tmp_path: Path) -> None:
    github.read_only = True
    planned(tmp_path, "a plan")

    done = review(github, tmp_path, "comment", PULL_REQUEST)

    assert (done.returncode, github.bodies()) == (0, [])
    assert done.stdout.startswith("::warning::the plan is not written as a comment")


def test_the_checksum_is_that_of_the_pull_request_which_was_merged(github: GitHub, tmp_path: Path) -> None:
    github.comment(MARKER.replace(CHECKSUM, "f" * 16), BOT, number=6)
    github.comment(MARKER, BOT, number=7)
    github.merge(7, "abc123")

    done = review(github, tmp_path, "checksum", {})

    assert (done.returncode, done.stdout) == (0, f"{CHECKSUM}\n")


def test_a_comment_of_anybody_else_is_not_believed(github: GitHub, tmp_path: Path) -> None:
    github.comment(MARKER, "mallory")
    github.merge(7, "abc123")

    done = review(github, tmp_path, "checksum", {})

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "::error::there is no plan that could be reviewed on pull request 7\n"


def test_a_plan_that_nobody_was_to_agree_to_is_not_reviewed(github: GitHub, tmp_path: Path) -> None:
    github.comment(MARKER.replace(CHECKSUM, "none"), BOT)
    github.merge(7, "abc123")

    assert review(github, tmp_path, "checksum", {}).returncode == 1


def test_a_commit_that_came_without_a_pull_request_was_not_reviewed(github: GitHub, tmp_path: Path) -> None:
    done = review(github, tmp_path, "checksum", {})

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "::error::no pull request was merged as abc123, so nobody has reviewed a plan of it\n"


@pytest.mark.parametrize(("merged", "code"), [(True, 0), (False, 1)])
def test_a_pull_request_counts_once_it_is_merged(github: GitHub, tmp_path: Path, merged: bool, code: int) -> None:
    github.comment(MARKER, BOT)
    event = {"pull_request": PULL_REQUEST["pull_request"] | {"merged": merged}}

    assert review(github, tmp_path, "checksum", event).returncode == code


def test_what_github_answers_is_said_where_it_refuses(github: GitHub, tmp_path: Path) -> None:
    done = review(github, tmp_path, "checksum", {}, GITHUB_REPOSITORY="acme/other")

    assert done.returncode == 1
    assert done.stderr.startswith("::error::GitHub: Client error '404 Not Found' for url ")
