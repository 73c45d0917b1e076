"""`enova delete`."""

from __future__ import annotations

import pytest

from tests.cli.terminal import Machine


@pytest.fixture
def two_services(machine: Machine) -> Machine:
    machine.enova("apply", machine.spec(), machine.spec("other", gateway="{port: 9300}"), "--yes")
    machine.host.writes.clear()
    return machine


def services(machine: Machine) -> set[str]:
    return {instance.service for instance in machine.host.instances.values()}


@pytest.mark.parametrize("given", ["chat", "chat.yaml"], ids=["by name", "by spec"])
def test_it_removes_all_of_one_service_and_nothing_of_another(two_services: Machine, given: str) -> None:
    shown = two_services.enova("delete", given, "--yes")

    assert shown.out == (
        "chat\n"
        "  - remove chat#0: asked for\n"
        "  - remove chat#1: asked for\n"
        "  - remove chat@gateway: asked for\n"
        "\n"
        "Plan: 0 to create, 0 to replace, 3 to remove\n"
        "Applied: 3 done\n"
    )
    assert (shown.code, services(two_services)) == (0, {"other"})


def test_it_asks_on_a_terminal(two_services: Machine) -> None:
    shown = two_services.enova("delete", "chat", stdin="n\n", terminal=True)

    assert shown.err == "Remove all of this? [y/N] nothing was changed\n"
    assert (shown.code, two_services.host.writes) == (1, [])


def test_an_unknown_name_is_an_error_with_a_suggestion(two_services: Machine) -> None:
    shown = two_services.enova("delete", "chta", "--yes")

    assert shown.err == "error: no service named chta runs here\nhint: did you mean chat?\n"
    assert (shown.code, two_services.host.writes) == (1, [])


def test_a_folder_has_to_be_written_as_one(machine: Machine) -> None:
    machine.spec(path="specs/chat.yaml")

    shown = machine.enova("delete", "specs")

    assert shown.err == (
        "error: no service named specs runs here\nhint: for the services that its files name, write ./specs\n"
    )
    assert machine.enova("delete", "./specs").code == 0


def test_a_name_that_may_be_where_nobody_could_look_is_not_called_absent(machine: Machine) -> None:
    machine.host.unreachable.add("docker")

    shown = machine.enova("delete", "chat", "--yes")

    assert shown.err == (
        "error: no service named chat runs here, as far as could be seen: "
        "could not look at docker: the docker runtime cannot be reached\n"
    )
    assert shown.code == 1


def test_a_spec_of_which_nothing_runs_has_nothing_to_delete(machine: Machine) -> None:
    shown = machine.enova("delete", machine.spec())

    assert (shown.code, shown.out, shown.err) == (0, "In sync: nothing to do\n", "")


def test_a_spec_whose_runtime_cannot_be_looked_at_exits_with_1(two_services: Machine) -> None:
    two_services.host.unreachable.add("docker")

    shown = two_services.enova("delete", "chat.yaml", "--yes")

    assert (shown.code, two_services.host.writes) == (1, [])
    assert "could not look at docker" in shown.out


def test_it_has_to_be_told_what(machine: Machine) -> None:
    assert machine.enova("delete", "--yes").code == 64
