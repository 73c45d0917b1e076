"""The command line as a whole: help, mistakes in calling it, and mistakes of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from enova.world import World
from tests.cli.terminal import Machine

COMMANDS = ["init", "validate", "schema", "plan", "apply", "status", "logs", "delete", "inventory", "version"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "--bogus"], "No such option: --bogus"),
        (["logs"], "Missing argument 'SERVICE[#SLOT|@gateway]'."),
        (["plan", "-o", "yaml"], "Invalid value for '--output' / '-o': 'yaml' is not one of"),
        (["logs", "chat", "--tail", "few"], "Invalid value for '--tail'"),
        (["plna"], "No such command 'plna'. Did you mean 'plan'?"),
        (["version", "more"], "Got unexpected extra argument(s) (more)"),
        (["plan", "--out"], "Option '--out' requires an argument."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_exits_with_64_and_points_to_the_help(
    machine: Machine, arguments: list[str], message: str
) -> None:
    shown = machine.enova(*arguments)

    assert shown.code == 64
    assert shown.err.startswith(f"error: {message}")
    assert "\nhint: see `enova" in shown.err
    assert shown.out == ""


def test_without_a_command_the_help_is_shown_as_an_error(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.enova().code == 64
    assert capsys.readouterr().err.startswith("Usage: enova [OPTIONS] COMMAND [ARGS]...")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(
    machine: Machine, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.enova(command, "--help").code == 0

    text = capsys.readouterr().out
    assert f"Usage: enova {command} " in text
    assert f"  Examples:\n    $ enova {command}" in text


@pytest.fixture
def broken(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine on which Enova itself has a mistake."""

    class Broken:
        def __getattr__(self, name: str) -> World:
            raise KeyError(name)

    machine.world = Broken()  # type: ignore[assignment]
    return machine


def test_a_mistake_in_enova_is_one_line_and_says_how_to_report_it(broken: Machine) -> None:
    shown = broken.enova("status")

    assert shown.err == (
        "error: unexpected KeyError: 'runtimes'\n"
        "hint: this is a mistake in Enova; please report it with what `enova --debug …` prints\n"
    )
    assert shown.code == 1


@pytest.mark.parametrize("by", ["option", "environment"])
def test_with_debug_it_is_a_traceback(broken: Machine, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENOVA_DEBUG", "1" if by == "environment" else "0")

    shown = broken.enova(*(["--debug"] if by == "option" else []), "status")

    assert shown.err.startswith("Traceback (most recent call last):\n")


def test_a_reader_that_has_seen_enough_is_no_error_to_tell() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "enova", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as enova:
        assert enova.stdout
        assert enova.stderr
        enova.stdout.close()
        assert enova.stderr.read() == b""


def test_a_terminal_that_cannot_show_a_sign_ends_nothing(machine: Machine) -> None:
    machine.spec(path="specs/chat.yaml", metadata="")
    spec = machine.write("ö/chat.yaml", "metadata: {name: chät}\nmodel: org/model\n")

    shown = subprocess.run(
        [sys.executable, "-m", "enova", "validate", spec],
        env={"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert shown.returncode == 1
    assert "Traceback" not in shown.stderr
    assert "?/chat.yaml:1:" in shown.stdout


@pytest.mark.parametrize(
    ("typed", "words"), [("enova logs c", ["chat"]), ("enova ledger ", ["show", "measure", "add"])]
)
def test_the_shell_can_complete_commands_and_services(machine: Machine, typed: str, words: list[str]) -> None:
    machine.spec("chat", "specs/chat.yaml")

    shown = subprocess.run(
        [sys.executable, "-m", "enova"],
        env={"_ENOVA_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": "2"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert shown.stdout.split() == words
