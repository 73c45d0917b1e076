"""`action.yml`, step by step as GitHub's runner takes them, up to replicas that are real processes."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.command import Enova
from tests.e2e.service import Service
from tests.users_ci.github import REPOSITORY, GitHub
from tests.users_ci.installed import heavy
from tests.users_ci.runner import ROOT, Ran, Runner, value

pytestmark = pytest.mark.slow

BRANCH = {"repository": {"default_branch": "main"}}
MERGED = "abc123"


def pull_request(head: str = "c0ffee") -> dict[str, Any]:
    return BRANCH | {"pull_request": {"number": 7, "head": {"sha": head}}}


@pytest.fixture
def chat(enova: Enova) -> Service:
    return Service(enova)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that the action installs to, each time over what is there."""
    return tmp_path_factory.mktemp("installed") / "enova"


@pytest.fixture
def runner(enova: Enova, github: GitHub, installed: Path) -> Runner:
    job = {"GITHUB_API_URL": github.url, "GITHUB_REPOSITORY": REPOSITORY, "PATH": path_with_uv(enova.folder)}
    return Runner(enova.folder, enova.folder / "temp", kept(enova) | job)


def kept(enova: Enova) -> dict[str, str]:
    """Return what a job has of this machine's environment: how to reach registries, and the state of this test."""
    own = {"DOCKER_HOST", "ENOVA_STATE_DIR", "HOME", "LANG", "SSL_CERT_FILE", "no_proxy", "NO_PROXY"}
    prefixes = ("PIP_", "UV_", "http_", "https_", "HTTP_", "HTTPS_")
    return {name: text for name, text in enova.env().items() if name in own or name.startswith(prefixes)}


def path_with_uv(folder: Path) -> str:
    """Return a PATH with uv: the one that runs these tests, the machine's own, or that of `stack/uv`."""
    uv = os.environ.get("UV") or shutil.which("uv") or ROOT / ".cache" / "uv" / "bin" / "uv"
    tools = folder / "tools"
    tools.mkdir()
    (tools / "uv").symlink_to(uv)
    return f"{tools}:{os.environ['PATH']}"


def path_without_uv(folder: Path) -> str:
    """Return a PATH without uv, but with a Python that is new enough."""
    tools = folder / "tools-without-uv"
    tools.mkdir()
    (tools / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    others = [one for one in os.environ["PATH"].split(":") if not (Path(one) / "uv").exists()]
    return ":".join([str(tools), *others])


def planned(runner: Runner, installed: Path, spec: str, head: str = "c0ffee", **inputs: str) -> Ran:
    """Run the action as it runs for a pull request."""
    event, ref, given = pull_request(head), "refs/pull/7/merge", {"install_to": str(installed)} | inputs
    return runner.run("pull_request", event, ref, "merge-of-7", paths=spec, **given)


def merged(runner: Runner, installed: Path, spec: str, **inputs: str) -> Ran:
    """Run the action as it runs for the push that a merge is."""
    return runner.run("push", BRANCH, "refs/heads/main", MERGED, paths=spec, install_to=str(installed), **inputs)


def test_what_was_planned_on_a_pull_request_is_applied_once_it_is_merged(
    enova: Enova, chat: Service, runner: Runner, github: GitHub, installed: Path
) -> None:
    plan = planned(runner, installed, chat.spec())

    assert plan.ok, plan.log
    assert (plan.outputs["command"], plan.outputs["exit-code"], plan.outputs["changes"]) == ("plan", "2", "3")
    assert plan.outcomes["Apply"] == "skipped"
    assert "**Plan: 3 to create, 0 to replace, 0 to remove**" in plan.summary
    assert len(github.bodies()) == 1
    assert f"Checksum `{plan.outputs['checksum']}`" in github.bodies()[0]
    assert enova("status").stdout.count("e2e-chat") == 0

    github.merge(7, MERGED)
    apply = merged(runner, installed, chat.spec())

    assert apply.ok, apply.log
    assert (apply.outputs["command"], apply.outputs["exit-code"]) == ("apply", "0")
    assert apply.outputs["checksum"] == plan.outputs["checksum"]
    assert "Applied: 3 done" in apply.summary
    assert chat.answers()
    assert tracked_by(chat) == {""}


def tracked_by(chat: Service) -> set[str]:
    """Return which jobs a service's processes belong to: when a job is over, the runner ends those of it."""
    return {psutil.Process(pid).environ().get("RUNNER_TRACKING_ID", "") for pid in chat.pids().values()}


def test_specs_that_changed_after_the_review_are_not_applied(
    enova: Enova, chat: Service, runner: Runner, github: GitHub, installed: Path
) -> None:
    plan = planned(runner, installed, chat.spec())
    github.merge(7, MERGED)

    apply = merged(runner, installed, chat.spec(replicas=1))

    assert (apply.ok, apply.outputs["exit-code"]) == (False, "1")
    assert f"moved since the plan was reviewed: its checksum was {plan.outputs['checksum']}" in apply.log
    assert json.loads(enova("status", "-o", "json").stdout)["services"] == []


def test_a_push_that_nobody_reviewed_is_applied_only_where_a_person_says_so(
    chat: Service, runner: Runner, installed: Path
) -> None:
    push = merged(runner, installed, chat.spec())

    assert (push.outcomes["What was reviewed"], push.outcomes["Apply"]) == ("failure", "skipped")
    assert f"::error::no pull request was merged as {MERGED}" in push.log

    by_hand = merged(runner, installed, chat.spec(), checksum="any")

    assert by_hand.ok, by_hand.log


def test_the_next_commit_of_a_pull_request_renews_the_comment(
    chat: Service, runner: Runner, github: GitHub, installed: Path
) -> None:
    planned(runner, installed, chat.spec(replicas=1), "first")
    planned(runner, installed, chat.spec(replicas=2), "second")

    assert len(github.bodies()) == 1
    assert "Plan: 3 to create" in github.bodies()[0]
    assert "<sub>For second</sub>" in github.bodies()[0]


def test_a_broken_spec_is_noted_at_its_line_and_its_plan_is_withdrawn(
    enova: Enova, chat: Service, runner: Runner, github: GitHub, installed: Path
) -> None:
    planned(runner, installed, chat.spec())
    enova.spec("metadata: {name: chat}\nmodel: acme/tiny\nscaling: {min: -1}\n", "broken.yaml")

    plan = planned(runner, installed, "broken.yaml")

    assert (plan.ok, plan.outputs["exit-code"]) == (False, "1")
    assert "\n::error file=broken.yaml,line=3,col=16,title=scaling.min::" in plan.log
    assert (plan.outcomes["Validate"], plan.outcomes["Plan"]) == ("failure", "skipped")
    assert ["checksum=none" in body for body in github.bodies()] == [True]


def test_a_plan_that_cannot_be_made_fails_and_says_so_in_the_comment(
    chat: Service, runner: Runner, github: GitHub, installed: Path
) -> None:
    plan = planned(runner, installed, chat.spec(), inventory="nowhere.yaml")

    assert plan.outcomes["Whether the plan may be merged"] == "failure"
    assert "nowhere.yaml" in github.bodies()[0]
    assert "checksum=none" in github.bodies()[0]


def test_a_choice_that_is_not_in_the_lock_fails_where_locks_are_to_hold(
    runner: Runner, github: GitHub, installed: Path
) -> None:
    plan = planned(runner, installed, str(ROOT / "specs" / "emulated.yaml"), locked="true")

    assert (plan.ok, plan.outputs["checksum"]) == (False, "")
    assert "enova.lock" in github.bodies()[0]


def test_what_no_file_names_any_more_is_removed_where_that_is_asked_for(
    enova: Enova, chat: Service, runner: Runner, github: GitHub, installed: Path
) -> None:
    enova.ok("apply", chat.spec(replicas=1), "--yes")
    other = Service(enova, "e2e-other").spec(replicas=1)

    plan = planned(runner, installed, other, prune="true")
    github.merge(7, MERGED)
    apply = merged(runner, installed, other, prune="true")

    assert "remove <code>e2e-chat#0</code>" in plan.summary
    assert apply.ok, apply.log
    assert {one["name"] for one in json.loads(enova("status", "-o", "json").stdout)["services"]} == {"e2e-other"}


def test_what_is_given_is_never_a_command(runner: Runner, installed: Path) -> None:
    hostile = '$(touch hacked)\n"; touch hacked; "\n--output=json'

    ran = planned(runner, installed, hostile)

    assert ran.outcomes["Validate"] == "failure"
    assert not (runner.workspace / "hacked").exists()
    assert [step["name"] for step in runner.action["runs"]["steps"] if "${{" in step["run"]] == []


def test_another_branch_is_only_validated(chat: Service, runner: Runner, installed: Path) -> None:
    ran = runner.run("push", BRANCH, "refs/heads/topic", MERGED, paths=chat.spec(), install_to=str(installed))

    assert ran.ok, ran.log
    assert (ran.outputs["command"], ran.outputs["exit-code"]) == ("validate", "0")
    assert [name for name, outcome in ran.outcomes.items() if outcome != "skipped"] == [
        "What to do",
        "Install Enova",
        "Validate",
    ]


def test_what_is_installed_by_uv_has_neither_vllm_nor_torch(
    chat: Service, runner: Runner, installed: Path
) -> None:
    planned(runner, installed, chat.spec())

    assert heavy(installed) == []


@pytest.mark.skipif(not importlib.util.find_spec("ensurepip"), reason="this Python cannot make environments")
def test_what_is_installed_by_pip_has_neither_vllm_nor_torch(
    enova: Enova, chat: Service, runner: Runner, tmp_path: Path
) -> None:
    runner.environment = {**runner.environment, "PATH": path_without_uv(enova.folder)}
    folder = tmp_path / "by pip"

    ran = planned(runner, folder, chat.spec())

    assert ran.ok, ran.log
    assert (folder / "bin" / "pip").exists()
    assert heavy(folder) == []


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a.b || a.c", "x"),
        ("always() && a.b == '' && a.c != 'y'", True),
        ("!a.c", False),
        ("success()", False),
    ],
)
def test_expressions_mean_what_they_mean_to_github(expression: str, expected: object) -> None:
    assert value(expression, {"a": {"b": "", "c": "x"}}, ok=False) == expected
