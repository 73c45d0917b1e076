"""`enova history` and `enova rollback`: what was applied is kept, and can be gone back to."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from enova.core.observed import State
from tests.cli.terminal import Machine


def kept(machine: Machine, *arguments: str) -> list[dict[str, Any]]:
    shown = machine.enova("history", *arguments, "-o", "json")
    assert shown.code == 0, shown.err
    revisions: list[dict[str, Any]] = json.loads(shown.out)["revisions"]
    return revisions


def images(machine: Machine) -> set[str | None]:
    return {i.image for i in machine.host.instances.values() if i.role == "replica" and i.state is State.RUNNING}


def test_before_anything_is_applied_it_is_empty(machine: Machine) -> None:
    assert machine.enova("history").out == "Nothing was applied yet, as far as the history goes\n"
    assert kept(machine) == []


def test_it_tells_who_applied_what_when_and_why(machine: Machine) -> None:
    spec = machine.spec()
    machine.enova("apply", spec, "--yes", "--why", "first try")

    shown = machine.enova("history", "chat")
    (revision,) = kept(machine)

    assert "2027-01-15 08:00:00  chat" in shown.out
    assert "change (enova apply)" in shown.out
    assert "1 why: first try\n" in shown.out
    assert revision["ending"] == "applied"
    assert revision["source"].endswith("/chat.yaml")
    assert revision["spec"]["metadata"] == {"name": "chat"}
    assert "+ create chat#0: not found" in revision["actions"]
    assert "@" in revision["who"]


def test_an_apply_that_changes_nothing_is_not_kept(machine: Machine) -> None:
    spec = machine.spec()
    machine.enova("apply", spec, "--yes")
    machine.enova("apply", spec, "--yes")

    assert len(kept(machine)) == 1


def test_a_change_that_restarts_nothing_is_another_version(machine: Machine) -> None:
    machine.enova("apply", machine.spec(), "--yes")
    machine.enova("apply", machine.spec(rollout="{surge: 2}"), "--yes")

    assert [len(one["actions"]) for one in kept(machine)] == [3, 0]


def test_a_failure_is_kept_with_the_last_words_and_status_says_stalled(machine: Machine) -> None:
    machine.enova("apply", machine.spec(), "--yes")
    machine.host.failing.add("chat#0")
    spec = machine.spec(engine="{max_num_seqs: 4}")
    machine.enova("apply", spec, "--yes")

    assert kept(machine)[-1]["ending"] == "failed"
    assert (
        "chat#0: it exited with code 1 before it was ready\n    | chat#0 is exited" in machine.enova("history").out
    )
    status = machine.enova("status", spec)
    assert "  Ready: True (AllServe): 2 of 2 replicas serve\n" in status.out
    assert "  Stalled: True (RolloutFailed): chat#0: it exited with code 1 before it was ready" in status.out

    machine.host.failing.clear()
    machine.enova("apply", spec, "--yes")

    assert "Stalled" not in machine.enova("status", spec).out


def test_secrets_are_kept_by_reference_only(machine: Machine) -> None:
    machine.host.secrets["CHAT_KEY"] = "sk-not-to-be-seen"
    machine.enova("apply", machine.spec(gateway="{api_key: {env: CHAT_KEY}}"), "--yes")

    assert "CHAT_KEY" in json.dumps(kept(machine))
    assert b"sk-not-to-be-seen" not in (machine.folder / "state" / "history.db").read_bytes()


def test_a_rollback_goes_back_to_the_version_before(machine: Machine) -> None:
    machine.enova("apply", machine.spec(engine="{image: 'vllm/vllm-openai:one'}"), "--yes")
    machine.enova("apply", machine.spec(engine="{image: 'vllm/vllm-openai:two'}"), "--yes")
    assert images(machine) == {"vllm/vllm-openai:two"}

    shown = machine.enova("rollback", "chat", "--yes", "--why", "slow")

    assert shown.code == 0, shown.err
    assert images(machine) == {"vllm/vllm-openai:one"}
    assert "chat as it was at 2027-01-15 08:00:00 UTC (revision 1)" in shown.err
    assert "spec files still say otherwise" in shown.err
    last = kept(machine)[-1]
    assert (last["cause"], last["why"], last["ending"]) == ("rollback", "slow", "applied")


def test_a_rollback_may_name_the_revision(machine: Machine) -> None:
    for tag in ("one", "two", "three"):
        machine.enova("apply", machine.spec(engine=f"{{image: 'vllm/vllm-openai:{tag}'}}"), "--yes")

    machine.enova("rollback", "chat", "--to", "1", "--yes")

    assert images(machine) == {"vllm/vllm-openai:one"}


def test_a_rollback_brings_back_a_deleted_service(machine: Machine) -> None:
    machine.enova("apply", machine.spec(), "--yes")
    machine.enova("delete", "chat", "--yes")
    assert (machine.host.instances, kept(machine)[-1]["cause"]) == ({}, "removal")

    assert machine.enova("rollback", "chat", "--yes").code == 0
    assert len(machine.host.instances) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["code"], "nothing was applied of code, as far as the history goes"),
        (["chat"], "no other version of chat was applied before"),
        (["chat", "--to", "9"], "chat has no revision 9"),
    ],
)
def test_what_cannot_be_gone_back_to_is_said(machine: Machine, arguments: list[str], message: str) -> None:
    machine.enova("apply", machine.spec(), "--yes")

    shown = machine.enova("rollback", *arguments, "--yes")

    assert (shown.code, f"error: {message}\n" in shown.err) == (1, True)


def test_a_removal_is_not_rolled_back_to(machine: Machine) -> None:
    machine.enova("apply", machine.spec(), "--yes")
    machine.enova("delete", "chat", "--yes")

    shown = machine.enova("rollback", "chat", "--to", "2", "--yes")

    assert "error: revision 2 is a removal\nhint: to remove it again: enova delete chat\n" in shown.err


def test_a_history_that_cannot_be_written_stops_nothing(machine: Machine) -> None:
    (machine.folder / "state").mkdir()
    (machine.folder / "state" / "history.db").write_text("no database")

    shown = machine.enova("apply", machine.spec(), "--yes")

    assert shown.code == 0
    assert "note: this is not kept in the history, nor for the ledger" in shown.err
    assert len(machine.host.instances) == 3


def test_the_git_revision_of_the_spec_is_kept_and_that_it_was_changed_since(machine: Machine) -> None:
    def git(*words: str) -> str:
        named = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        return subprocess.run(["git", *named, *words], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    machine.write(".gitignore", "state\n")
    spec = machine.spec(path="specs/chat.yaml")
    git("add", "specs")
    git("commit", "--quiet", "--message", "first")
    machine.enova("apply", spec, "--locked", "--yes")
    machine.enova("apply", machine.spec(path="specs/chat.yaml", scaling="{min: 1}"), "--yes")

    sha = git("rev-parse", "HEAD")
    assert [one["git_revision"] for one in kept(machine)] == [sha, f"{sha} (changed)"]


def test_the_forecast_is_kept(machine: Machine) -> None:
    machine.write(
        "fast.yaml",
        "metadata: {name: fast}\nmodel: Qwen/Qwen2.5-7B-Instruct\n"
        "engine: {kind: emulated, extra_args: {emulate_gpu: h100-sxm}}\nscaling: {min: 1}\n"
        "injection: {arrival: {process: poisson, rate: 1/s}}\n",
    )
    machine.enova("apply", "fast.yaml", "--yes")

    assert kept(machine)[-1]["forecast"]["replicas"] == 1
