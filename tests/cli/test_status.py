"""`enova status`."""

from __future__ import annotations

import json
from dataclasses import replace

from enova.core.observed import Health
from tests.cli.terminal import NOW, Machine


def running(machine: Machine, spec: str, age_s: float = 90) -> None:
    machine.enova("apply", spec, "--yes")
    for key, instance in machine.host.instances.items():
        machine.host.instances[key] = replace(instance, created_at=NOW - age_s)


def test_it_shows_conditions_and_replicas(machine: Machine) -> None:
    spec = machine.spec(engine="{kind: emulated}", placement="{runtime: process}", scaling="{min: 1}")
    running(machine, spec)
    gateway, replica = sorted(machine.host.instances.values(), key=lambda i: i.role)

    shown = machine.enova("status", spec)

    one, other = gateway.url or "", replica.url or ""
    width = max(len(one), len(other))
    assert shown.out == (
        f"chat (emulated)  {one}/v1\n"
        "  Ready: True (AllServe): 1 of 1 replica serves\n"
        "  Reconciling: False (InSync): as it should be\n"
        f"  TARGET        STATE    HEALTH   SERVES  DEVICES  AGE  {'ADDRESS':{width}}  RUNS\n"
        f"  chat@gateway  running  healthy  yes     -        1m   {one:{width}}  process: vllm-router\n"
        f"  chat#0        running  healthy  yes     -        1m   {other:{width}}  process: engine (emulated)\n"
        "  note: emulated engine: it answers with made-up words at a simulated pace, no model runs\n"
        "\n"
    )
    assert (shown.code, shown.err) == (0, "")


def test_what_is_not_in_sync_is_listed(machine: Machine) -> None:
    running(machine, machine.spec(engine="{max_num_seqs: 8}"))

    shown = machine.enova("status", machine.spec(engine="{max_num_seqs: 16}"))

    assert "  Reconciling: True (ChangesPending): 2 to do; see pending\n" in shown.out
    assert "  pending: ± replace chat#0: settings changed; engine.max_num_seqs: 8 -> 16\n" in shown.out
    assert shown.code == 0


def test_why_a_replica_is_unhealthy_and_that_the_gateway_is_open_is_noted(machine: Machine) -> None:
    spec = machine.spec(gateway="{host: 0.0.0.0}")
    running(machine, spec)
    for key, instance in machine.host.instances.items():
        if instance.target == "chat#1":
            sick = replace(instance, health=Health.UNHEALTHY, detail="Up 2 minutes (unhealthy)")
            machine.host.instances[key] = sick
            machine.host.hung.add(sick.target)

    shown = machine.enova("status", spec)
    told = json.loads(machine.enova("status", spec, "-o", "json").out)

    assert "  note: chat#1 is unhealthy: Up 2 minutes (unhealthy) (hint: see `enova logs chat#1`)\n" in shown.out
    assert "  note: the gateway listens on 0.0.0.0; its router lets anyone" in shown.out
    assert [note["hint"] for note in told["services"][0]["notes"]] == [
        "put a reverse proxy in front that passes /v1 only (docs/gateway.md)",
        "see `enova logs chat#1`",
    ]


def test_a_suspended_service_is_told_to_be_so_once(machine: Machine) -> None:
    shown = machine.enova("status", machine.spec(suspend="true"))

    assert shown.out.lower().count("suspended") == 1


def test_a_service_in_no_spec_is_shown_too(machine: Machine) -> None:
    running(machine, machine.spec("old", gateway="{port: 9300}"))

    shown = machine.enova("status", machine.spec(), "-o", "json")

    assert [(s["name"], s["in_spec"]) for s in json.loads(shown.out)["services"]] == [
        ("chat", True),
        ("old", False),
    ]


def test_without_specs_it_shows_what_runs_and_compares_with_nothing(machine: Machine) -> None:
    running(machine, machine.spec())

    shown = machine.enova("status", "-o", "json")
    status = json.loads(shown.out)

    assert (status["schema_version"], status["compared"]) == (1, False)
    assert [c["reason"] for c in status["services"][0]["conditions"]] == ["AllServe", "NotCompared"]
    assert status["services"][0]["instances"][1]["target"] == "chat#0"
    assert status["services"][0]["instances"][1]["devices"] == ["GPU-0"]
    assert shown.code == 0


def test_on_an_empty_machine_it_says_so(machine: Machine) -> None:
    assert machine.enova("status").out == "Nothing of Enova's runs here\n"


def test_what_could_not_be_looked_at_is_said_and_exits_with_1(machine: Machine) -> None:
    machine.host.unreachable.add("docker")

    shown = machine.enova("status")

    assert shown.out == "unknown: docker: could not look at docker: the docker runtime cannot be reached\n"
    assert shown.code == 1


def test_a_runtime_that_no_spec_needs_may_be_missing(machine: Machine) -> None:
    machine.host.unreachable.add("docker")
    spec = machine.spec(engine="{kind: emulated}", placement="{runtime: process}")

    shown = machine.enova("status", spec)

    assert shown.code == 0
    assert "Ready: False (NoGateway): no gateway listens" in shown.out
