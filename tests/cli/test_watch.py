"""`enova watch`: how it may be called. What it does is tested with processes, and in tests/watch."""

from __future__ import annotations

import json

import pytest

from tests.cli.terminal import Machine
from tests.core.watch.test_report import report


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing"], "missing is not there\nhint: name a spec file or folder, or git+URL#branch:folder\n"),
        (["--listen", "9105", "."], "--listen: '9105' is no address\nhint: as in 127.0.0.1:9105, or none\n"),
        (["--listen", "localhost:99999", "."], "--listen: 'localhost:99999' is no address\n"),
        (["--interval", "50ms", "."], "--interval: 50ms is too short\nhint: at least 0.1s\n"),
        (["--interval", "often", "."], "--interval: "),
        (["--metrics-interval", "50ms", "."], "--metrics-interval: 50ms is too short\nhint: at least 1s\n"),
        (
            ["--prometheus", "http://ann:hunter2@h:9090", "."],
            "--prometheus: no address without user and password\n",
        ),
        (["--prometheus", "h:9090", "."], "--prometheus: no address without user and password\n"),
        (["git+https://ann:hunter2@example.com/x.git"], "the URL holds a user name, password or token\n"),
    ],
)
def test_what_cannot_work_is_said(machine: Machine, words: list[str], said: str) -> None:
    shown = machine.enova("watch", *words)

    assert shown.err.startswith(f"error: {said}")
    assert shown.code == 64
    assert "hunter2" not in shown.err


def test_status_works_with_a_broken_spec_beside_a_good_one(machine: Machine) -> None:
    machine.spec("chat", "specs/chat.yaml")
    machine.write("specs/code.yaml", "metadata: {name: code\n")

    shown = machine.enova("status", "specs")
    told = json.loads(machine.enova("status", "specs", "-o", "json").out)

    assert "chat  no endpoint\n" in shown.out
    assert shown.err.startswith("specs/code.yaml:2:1: is not valid YAML")
    assert shown.code == 1
    assert [one["name"] for one in told["services"]] == ["chat"]
    assert told["problems"][0].startswith("specs/code.yaml:2:1: ")


def test_status_tells_of_the_daemons_of_this_machine(machine: Machine) -> None:
    from enova.watch.report_file import write_report

    folder = machine.folder / "state" / "watch"
    folder.mkdir(parents=True)
    write_report(folder / "a.json", report())

    shown = machine.enova("status")
    told = json.loads(machine.enova("status", "-o", "json").out)

    assert "/specs  kept by nobody now: pid 1 on host looked last " in shown.out
    assert [(one["alive"], one["source"]) for one in told["daemons"]] == [(False, "/specs")]
