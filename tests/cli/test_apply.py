"""`enova apply`."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass, replace

import pytest

from enova.core.observed import Health
from enova.testing import MemoryEngine, memory_world
from tests.cli.terminal import Machine

CREATED = [
    "create chat#0",
    "create chat#1",
    "create chat@gateway",
    "start chat#0",
    "start chat#1",
    "start chat@gateway",
]


def kept_writes(machine: Machine) -> list[str]:
    return sorted(write for write in machine.host.writes if not write.startswith("route"))


def test_it_shows_the_plan_carries_it_out_and_says_where_the_service_answers(machine: Machine) -> None:
    shown = machine.enova("apply", machine.spec(), "--yes")

    assert shown.out == (
        "chat\n"
        "  + create chat@gateway: not found\n"
        "  + create chat#0: not found\n"
        "  + create chat#1: not found\n"
        "\n"
        "Plan: 3 to create, 0 to replace, 0 to remove\n"
        "Applied: 3 done\n"
        "chat: http://127.0.0.1:9199/v1\n"
    )
    assert shown.code == 0
    assert kept_writes(machine) == CREATED


def test_every_step_of_every_replica_is_told_on_stderr(machine: Machine) -> None:
    shown = machine.enova("apply", machine.spec(scaling="{min: 1}"), "--yes")

    steps = [line for line in shown.err.splitlines() if line.startswith("+ create chat#0: ")]
    assert [step.removeprefix("+ create chat#0: ") for step in steps[:-1]] == [
        "create",
        "start",
        "wait until ready",
        "probe",
        "route",
    ]
    assert steps[-1].startswith("+ create chat#0: done in ")


def test_a_second_apply_has_nothing_to_do_and_writes_nothing(machine: Machine) -> None:
    spec = machine.spec()
    machine.enova("apply", spec, "--yes")
    machine.host.writes.clear()

    shown = machine.enova("apply", spec)

    assert (shown.code, shown.out, shown.err) == (0, "In sync: nothing to do\n", "")
    assert machine.host.writes == []


def test_on_a_terminal_it_asks_and_does_nothing_without_a_yes(machine: Machine) -> None:
    shown = machine.enova("apply", machine.spec(), stdin="\n", terminal=True)

    assert shown.err == "Apply this plan? [y/N] nothing was changed\n"
    assert (shown.code, machine.host.writes) == (1, [])


def test_on_a_terminal_a_yes_is_enough(machine: Machine) -> None:
    shown = machine.enova("apply", machine.spec(), stdin="y\n", terminal=True)

    assert shown.code == 0
    assert kept_writes(machine) == CREATED
    assert "done in" in shown.err


def test_without_a_terminal_and_without_yes_it_refuses(machine: Machine) -> None:
    shown = machine.enova("apply", machine.spec(), stdin="y\n")

    assert shown.err == "error: there is no terminal to ask on\nhint: look at the plan, then add --yes\n"
    assert (shown.code, machine.host.writes) == (1, [])


def test_a_started_spec_goes_from_init_through_a_pipe_to_apply(machine: Machine) -> None:
    spec = machine.enova("init", "Qwen/Qwen2.5-0.5B-Instruct").out

    shown = machine.enova("apply", "-", "--yes", stdin=spec)

    assert shown.out.endswith("Applied: 2 done\nqwen2-5-0-5b-instruct: http://127.0.0.1:9199/v1\n")
    assert shown.code == 0


def test_a_replica_that_fails_is_reported_with_its_last_words_and_exits_with_1(machine: Machine) -> None:
    machine.host.failing.add("chat#1")

    shown = machine.enova("apply", machine.spec(), "--yes")

    assert shown.out.endswith(
        "failed: + create chat#1: it exited with code 1 before it was ready\n"
        "    | chat#1 is exited\n"
        "it was stopped\n"
        "  hint: see `enova logs chat#1`\n"
        "Failed: 2 done, 1 failed\n"
    )
    assert shown.code == 1
    assert "+ create chat#1: failed: it exited with code 1 before it was ready\n" in shown.err


def test_an_emulated_service_is_called_that_to_the_end(machine: Machine) -> None:
    shown = machine.enova("apply", machine.spec(engine="{kind: emulated}"), "--yes")

    assert shown.out.endswith("Applied: 3 done\nchat: http://127.0.0.1:9199/v1 (emulated)\n")
    assert "+ create chat#0 (emulated): start\n" in shown.err


def test_a_service_that_could_not_be_looked_at_is_left_out_and_the_others_are_done(machine: Machine) -> None:
    machine.host.unreachable.add("docker")
    machine.spec("far", "specs/far.yaml")
    local = {"engine": "{kind: emulated}", "placement": "{runtime: process}", "gateway": "{port: 9300}"}
    machine.spec("near", "specs/near.yaml", **local)

    shown = machine.enova("apply", "--yes")

    assert shown.code == 1
    assert "unknown: far: could not look at docker" in shown.out
    assert "Applied: 3 done\n" in shown.out
    assert {i.service for i in machine.host.instances.values()} == {"near"}


def test_a_refused_plan_is_not_begun(machine: Machine) -> None:
    machine.host.gpus = ()

    shown = machine.enova("apply", machine.spec(), "--yes")

    assert shown.err == "error: the plan is refused, so nothing was done\nhint: the reasons are above\n"
    assert (shown.code, machine.host.writes) == (1, [])


def test_a_secret_that_is_missing_stops_it_before_it_begins(machine: Machine) -> None:
    spec = machine.spec(engine="{secrets: {KEY: {env: CHAT_KEY}}}")

    shown = machine.enova("apply", spec, "--yes")

    assert "chat: KEY: secret env CHAT_KEY is not set" in shown.err
    assert (shown.code, machine.host.writes) == (1, [])


def test_a_saved_plan_is_applied_while_it_is_still_true(machine: Machine) -> None:
    machine.enova("plan", machine.spec(), "--out", "plan.json")

    shown = machine.enova("apply", "plan.json", "--yes")

    assert shown.code == 0
    assert kept_writes(machine) == CREATED


def test_what_plan_prints_as_json_can_be_applied_as_well(machine: Machine) -> None:
    machine.write("plan.json", machine.enova("plan", machine.spec(), "-o", "json").out)

    assert machine.enova("apply", "plan.json", "--yes").code == 0


def test_a_saved_plan_is_refused_once_the_world_moved(machine: Machine) -> None:
    spec = machine.spec()
    machine.enova("plan", spec, "--out", "plan.json")
    saved = json.loads((machine.folder / "plan.json").read_text())["checksum"]
    machine.host.failing.add("chat#1")
    machine.enova("apply", spec, "--yes")
    machine.host.writes.clear()
    now = json.loads(machine.enova("plan", spec, "-o", "json").out)["checksum"]

    shown = machine.enova("apply", "plan.json", "--yes")

    assert shown.err == (
        f"error: the world moved since the plan was saved: its checksum was {saved}, now it is {now}\n"
        "hint: what would be done now is above; save and review it with `enova plan --out FILE`\n"
    )
    assert "  + start chat#1: exited with code 1\n" in shown.out
    assert (shown.code, machine.host.writes) == (1, [])


def reviewed(machine: Machine, *paths: str) -> str:
    """Return the checksum that a reviewer of the plan reads."""
    last = machine.enova("plan", *paths, "-o", "markdown").out.splitlines()[-1]
    return last.removeprefix("Checksum `").removesuffix("`")


def test_specs_are_applied_if_the_plan_is_the_one_that_was_reviewed(machine: Machine) -> None:
    spec = machine.spec()

    shown = machine.enova("apply", spec, "--checksum", reviewed(machine, spec), "--yes")

    assert shown.code == 0
    assert kept_writes(machine) == CREATED


def test_specs_that_changed_after_the_review_are_not_applied(machine: Machine) -> None:
    before = reviewed(machine, machine.spec())
    now = reviewed(machine, machine.spec(scaling="{min: 1}"))

    shown = machine.enova("apply", machine.spec(scaling="{min: 1}"), "--checksum", before, "--yes")

    assert shown.err == (
        f"error: the specs or the world moved since the plan was reviewed: its checksum was {before}, "
        f"now it is {now}\n"
        "hint: what would be done now is above; review it, then name its checksum\n"
    )
    assert "Plan: 2 to create, 0 to replace, 0 to remove\n" in shown.out
    assert (shown.code, machine.host.writes) == (1, [])


@pytest.mark.parametrize("checksum", ["", "any", "0F5B2C81D94E6A73"])
def test_what_is_no_checksum_is_not_taken_for_leave_to_do_anything(machine: Machine, checksum: str) -> None:
    shown = machine.enova("apply", machine.spec(), "--checksum", checksum, "--yes")

    assert shown.err == (
        f"error: --checksum: {checksum!r} is no checksum of a plan\n"
        "hint: it is in what `enova plan -o markdown` prints\n"
    )
    assert (shown.code, machine.host.writes) == (64, [])


def test_a_saved_plan_has_its_checksum_already(machine: Machine) -> None:
    spec = machine.spec()
    machine.enova("plan", spec, "--out", "plan.json")

    shown = machine.enova("apply", "plan.json", "--checksum", reviewed(machine, spec), "--yes")

    assert shown.err == "error: a saved plan already says its checksum\nhint: leave --checksum out\n"
    assert (shown.code, machine.host.writes) == (64, [])


def test_a_saved_plan_remembers_whether_it_prunes(machine: Machine) -> None:
    machine.enova("apply", machine.spec("old", gateway="{port: 9301}"), "--yes")
    machine.enova("plan", machine.spec(), "--prune", "--out", "plan.json")

    assert machine.enova("apply", "plan.json", "--prune", "--yes").code == 64
    assert machine.enova("apply", "plan.json", "--yes").code == 0
    assert {i.service for i in machine.host.instances.values()} == {"chat"}


def test_a_saved_plan_that_was_cut_off_is_called_damaged(machine: Machine) -> None:
    machine.enova("plan", machine.spec(), "--out", "plan.json")
    text = (machine.folder / "plan.json").read_text()
    machine.write("plan.json", text[: len(text) // 2])

    shown = machine.enova("apply", "plan.json", "--yes")

    assert "error: the saved plan is damaged: it is not whole JSON\n" in shown.err
    assert shown.code == 1


def test_a_saved_plan_goes_alone(machine: Machine) -> None:
    spec = machine.spec()
    machine.enova("plan", spec, "--out", "plan.json")

    shown = machine.enova("apply", "plan.json", spec, "--yes")

    assert shown.code == 64
    assert "plan.json is a saved plan and has to be the only path" in shown.err


@dataclass(slots=True)
class LoadingForever(MemoryEngine):
    """Replicas that never get ready, and a user who presses Ctrl-C once, on seeing that."""

    pressed: bool = False

    def health(self, url: str) -> Health:
        if not self.pressed:
            self.pressed = True
            os.kill(os.getpid(), signal.SIGINT)
        return Health.STARTING


def test_ctrl_c_stops_it_cleanly_with_130_and_a_later_apply_goes_on(machine: Machine) -> None:
    spec = machine.spec(scaling="{min: 1}")
    # A real clock: on the host's own, all of ready_timeout could pass before the signal is taken in.
    machine.world = replace(
        memory_world(machine.host),
        engine=LoadingForever(machine.host),
        now=time.monotonic,
        pause=time.sleep,
    )
    before = signal.getsignal(signal.SIGINT)

    shown = machine.enova("apply", spec, "--yes")

    assert shown.code == 130
    assert "stopping after the steps under way; Ctrl-C again exits at once" in shown.err
    assert "+ create chat#0: stopped\n" in shown.err
    assert "failed" not in shown.err
    assert shown.out.endswith(
        "unfinished: + create chat#0: interrupted\n"
        "  hint: it goes on starting; apply again to continue from here\n"
        "Interrupted: 1 done, 1 unfinished\n"
    )
    assert signal.getsignal(signal.SIGINT) is before

    machine.world = memory_world(machine.host)
    assert machine.enova("apply", spec, "--yes").code == 0
    assert machine.enova("plan", spec).code == 0


def test_one_at_a_time(machine: Machine) -> None:
    from enova.adapters.lock import exclusive

    spec = machine.spec()
    with exclusive(machine.folder / "state" / "apply.lock", what="enova apply", now="noon"):
        shown = machine.enova("apply", spec, "--yes")

    assert shown.code == 1
    assert shown.err.startswith("error: enova apply (pid ")
    assert (shown.out, machine.host.writes) == ("", [])
