"""`enova logs`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from enova.testing import MemoryRuntime, memory_world
from tests.cli.terminal import Machine


@pytest.fixture
def chat(machine: Machine) -> Machine:
    machine.enova("apply", machine.spec(), "--yes")
    return machine


def test_lines_of_several_say_whose_they_are(chat: Machine) -> None:
    shown = chat.enova("logs", "chat")

    assert shown.out.splitlines() == [
        "chat@gateway: chat@gateway is running",
        "chat#0: chat#0 is running",
        "chat#1: chat#1 is running",
    ]


@pytest.mark.parametrize("target", ["chat#1", "chat@gateway"])
def test_lines_of_one_are_as_they_were_written(chat: Machine, target: str) -> None:
    shown = chat.enova("logs", target, "--tail", "5")

    assert (shown.code, shown.out) == (0, f"{target} is running\n")


@dataclass(slots=True)
class Colourful(MemoryRuntime):
    """A runtime whose instances draw a progress bar in colour."""

    def logs(self, instance_id: str, *, tail: int | None, follow: bool) -> Iterator[str]:
        yield "\x1b[32m  loading\x1b[0m 10 %\r  loading 90 %"


def test_colours_and_progress_bars_are_for_terminals(chat: Machine) -> None:
    chat.world = replace(memory_world(chat.host), runtimes={"docker": Colourful(chat.host, "docker")})

    assert chat.enova("logs", "chat#0").out == "  loading 10 %\n  loading 90 %\n"
    assert chat.enova("logs", "chat#0", terminal=True).out == ("\x1b[32m  loading\x1b[0m 10 %\r  loading 90 %\n")


def test_several_are_followed_side_by_side_until_they_end(chat: Machine) -> None:
    shown = chat.enova("logs", "chat", "-f")

    assert sorted(shown.out.splitlines()) == [
        "chat#0: chat#0 is running",
        "chat#1: chat#1 is running",
        "chat@gateway: chat@gateway is running",
    ]


def test_what_does_not_run_is_an_error_with_a_suggestion(chat: Machine) -> None:
    shown = chat.enova("logs", "chat#7")

    assert shown.err == "error: nothing named chat#7 runs here\nhint: did you mean chat#1?\n"
    assert shown.code == 1


def test_where_nobody_could_look_nothing_is_called_absent(chat: Machine) -> None:
    chat.host.unreachable.add("docker")

    shown = chat.enova("logs", "chat")

    assert shown.err == "error: could not look at docker: the docker runtime cannot be reached\n"
    assert shown.code == 1
