"""`enova plan`."""

from __future__ import annotations

import json
from dataclasses import replace

from enova.core.observed import State
from tests.cli.terminal import Machine


def test_a_new_service_is_shown_action_by_action_and_exits_with_2(machine: Machine) -> None:
    spec = machine.spec()

    shown = machine.enova("plan", spec)

    assert shown.out == (
        "chat\n"
        "  + create chat@gateway: not found\n"
        "  + create chat#0: not found\n"
        "  + create chat#1: not found\n"
        "\n"
        "Plan: 3 to create, 0 to replace, 0 to remove\n"
    )
    assert (shown.code, shown.err) == (2, "")
    assert machine.host.writes == []


def test_what_is_in_sync_exits_with_0(machine: Machine) -> None:
    spec = machine.spec()
    machine.enova("apply", spec, "--yes")

    shown = machine.enova("plan", spec)

    assert (shown.code, shown.out, shown.err) == (0, "In sync: nothing to do\n", "")


def test_a_changed_argument_is_named_with_its_old_and_new_value(machine: Machine) -> None:
    machine.enova("apply", machine.spec(engine="{max_num_seqs: 8}"), "--yes")

    shown = machine.enova("plan", machine.spec(engine="{max_num_seqs: 16}"))

    assert shown.out == (
        "chat\n"
        "  ± replace chat#0: settings changed; engine.max_num_seqs: 8 -> 16\n"
        "  ± replace chat#1: settings changed; engine.max_num_seqs: 8 -> 16\n"
        "\n"
        "Plan: 0 to create, 2 to replace, 0 to remove\n"
    )


def test_an_emulated_service_is_called_that(machine: Machine) -> None:
    spec = machine.spec(engine="{kind: emulated}")

    shown = machine.enova("plan", spec)

    assert shown.out.startswith("chat (emulated)\n  + create")
    assert "chat#0</code> (emulated)" in machine.enova("plan", spec, "-o", "markdown").out
    assert [a["emulated"] for a in json.loads(machine.enova("plan", spec, "-o", "json").out)["actions"]] == [
        False,
        True,
        True,
    ]


def test_verbose_says_who_decided_what(machine: Machine) -> None:
    shown = machine.enova("plan", machine.spec(gateway="{port: 9300}"), "-v")

    assert "  gateway.port: 9300 (user)\n" in shown.out
    assert "  placement.runtime: docker (default)\n" in shown.out


def test_a_runtime_that_cannot_be_looked_at_exits_with_1_and_plans_nothing(machine: Machine) -> None:
    machine.host.unreachable.add("docker")

    shown = machine.enova("plan", machine.spec())

    assert shown.out == (
        "unknown: chat: could not look at docker: the docker runtime cannot be reached\n"
        "Plan: nothing will be done\n"
    )
    assert shown.code == 1


def test_a_refused_plan_says_why_and_exits_with_1(machine: Machine) -> None:
    machine.host.gpus = ()

    shown = machine.enova("plan", machine.spec())

    assert "refused: chat: 2 replicas (chat#0 to chat#1) need 1 GPU each, this host has none" in shown.out
    assert shown.code == 1


def test_json_holds_everything_a_program_needs(machine: Machine) -> None:
    machine.enova("apply", machine.spec(engine="{max_num_seqs: 8}"), "--yes")

    shown = machine.enova("plan", machine.spec(engine="{max_num_seqs: 16}"), "-o", "json")
    plan = json.loads(shown.out)

    assert sorted(plan) == [
        "actions", "checksum", "chosen", "enova_version", "forecast", "in_sync", "kind", "notes", "prune",
        "refusals", "resolved", "schema_version", "services", "summary", "unknowns",
    ]  # fmt: skip
    assert (plan["kind"], plan["schema_version"], plan["in_sync"]) == ("Plan", 1, False)
    assert plan["actions"][0] == {
        "verb": "replace",
        "target": "chat#0",
        "service": "chat",
        "cause": "settings changed",
        "changes": [{"field": "engine.max_num_seqs", "old": 8, "new": 16}],
        "impact": "",
        "wave": 2,
        "emulated": False,
    }
    assert {"field": "scaling.min", "value": 2, "provenance": "user", "why": ""} in plan["resolved"]["chat"]


def test_markdown_is_a_table_with_the_checksum(machine: Machine) -> None:
    spec = machine.spec()
    checksum = json.loads(machine.enova("plan", spec, "-o", "json").out)["checksum"]

    shown = machine.enova("plan", spec, "-o", "markdown")

    assert shown.out == (
        "<!-- enova plan -->\n"
        "**Plan: 3 to create, 0 to replace, 0 to remove**\n"
        "\n"
        "| | action | why | changes |\n"
        "|---|---|---|---|\n"
        "| + | create <code>chat@gateway</code> | not found |  |\n"
        "| + | create <code>chat#0</code> | not found |  |\n"
        "| + | create <code>chat#1</code> | not found |  |\n"
        "\n"
        f"Checksum `{checksum}`\n"
    )


def test_without_paths_the_folder_specs_is_read(machine: Machine) -> None:
    machine.spec("one", "specs/one.yaml", gateway="{port: 9201}")
    machine.spec("two", "specs/deep/two.yaml", gateway="{port: 9202}")

    shown = machine.enova("plan", "-o", "json")

    assert [service["metadata"]["name"] for service in json.loads(shown.out)["services"]] == ["one", "two"]


def test_without_paths_and_without_specs_it_says_what_to_do(machine: Machine) -> None:
    shown = machine.enova("plan")

    assert shown.code == 64
    assert shown.err == (
        "error: no path is given and there is no folder ./specs here\n"
        "hint: name a spec file or folder, or begin with `enova init MODEL > specs/NAME.yaml`\n"
    )


def test_a_service_in_no_file_is_left_alone_unless_pruned(machine: Machine) -> None:
    machine.enova("apply", machine.spec("old", gateway="{port: 9301}"), "--yes")
    spec = machine.spec()

    assert "other services: old runs here and no given file names it" in machine.enova("plan", spec).out
    assert "- remove old#0: no spec names this service" in machine.enova("plan", spec, "--prune").out


def test_a_killed_replica_is_named_with_its_exit_code(machine: Machine) -> None:
    spec = machine.spec()
    machine.enova("apply", spec, "--yes")
    key, instance = next((k, i) for k, i in machine.host.instances.items() if i.target == "chat#1")
    dead = replace(instance, state=State.EXITED, exit_code=137, url=None, worker_url=None)
    machine.host.instances[key] = dead

    shown = machine.enova("plan", spec)

    assert "  + start chat#1: exited with code 137\n" in shown.out
    assert shown.code == 2


def test_a_broken_spec_is_reported_with_its_place_and_exits_with_1(machine: Machine) -> None:
    shown = machine.enova("plan", machine.write("bad.yaml", "metadata: {name: chat}\nmodle: org/model\n"))

    assert (shown.code, shown.out) == (1, "")
    assert "bad.yaml:2:1: modle: " in shown.err
    assert "problem" in shown.err.splitlines()[-1]


def test_colour_is_for_terminals_only(machine: Machine) -> None:
    spec = machine.spec()

    assert "\x1b[" not in machine.enova("plan", spec).out
    assert "\x1b[32m" in machine.enova("plan", spec, terminal=True).out
    assert "\x1b[32m" in machine.enova("plan", spec, "--color", "always").out
    assert "\x1b[" not in machine.enova("plan", spec, "--color", "never", terminal=True).out


def test_the_environment_decides_on_colour_where_no_option_does(machine: Machine) -> None:
    spec = machine.spec()

    machine.environment["FORCE_COLOR"] = "1"
    assert "\x1b[32m" in machine.enova("plan", spec).out

    machine.environment["NO_COLOR"] = "1"
    assert "\x1b[32m" not in machine.enova("plan", spec, terminal=True).out
