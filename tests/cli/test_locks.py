"""`enova.lock` beside the specs: made by plan, written by apply once agreed, used by status."""

from __future__ import annotations

import errno
import json
import tempfile
from typing import Any

import pytest

from enova.core.lockfile import Entry, lock_in, lock_text
from enova.core.observed import Unknown
from tests.cli.terminal import Machine, Outcome
from tests.written import written

pytestmark = pytest.mark.usefixtures("few_requests")

TRAFFIC = (
    "{arrival: {process: poisson, rate: 2/s}, prompt_tokens: {distribution: fixed, tokens: 200}, "
    "output_tokens: {distribution: fixed, tokens: 40}}"
)
OPEN = {"injection": TRAFFIC, "slo": "{tpot: {p95: 60ms}}"}
TIGHTER = OPEN | {"slo": "{tpot: {p95: 50ms}}"}
OLD = Entry(inputs="v1:old", inventory="v1:old", chosen={"gpu": "h100-sxm", "replicas": 3})


def spec(machine: Machine, name: str = "chat", path: str | None = None, **lines: str) -> str:
    """Write a service that leaves everything open but its traffic and its promise."""
    sections = OPEN | lines
    text = f"metadata: {{name: {name}}}\nmodel: Qwen/Qwen2.5-7B-Instruct\n"
    text += "".join(f"{key}: {value}\n" for key, value in sections.items() if value)
    return machine.write(path or f"{name}.yaml", text)


def read(machine: Machine, folder: str = ".") -> dict[str, Entry]:
    path = machine.folder / folder / "enova.lock"
    return lock_in(path.read_text(encoding="utf-8"), "enova.lock") if path.exists() else {}


def keep(machine: Machine, folder: str = ".", **entries: Entry) -> str:
    """Put a lock there and return its text."""
    machine.write(f"{folder}/enova.lock", lock_text(entries))
    return lock_text(entries)


def text_of(machine: Machine, folder: str = ".") -> str:
    return (machine.folder / folder / "enova.lock").read_text(encoding="utf-8")


class TestPlan:
    """`enova plan`."""

    def test_it_writes_what_it_chose_and_says_so(self, machine: Machine) -> None:
        shown = machine.enova("plan", spec(machine))

        assert (shown.code, shown.err) == (2, "wrote enova.lock: commit it with the specs\n")
        assert dict(read(machine)["chat"].chosen) == {
            "gpu": "h100-sxm",
            "replicas": 1,
            "scaling.max": 2,
            "scaling.min": 1,
        }

    def test_a_second_plan_writes_nothing_and_shows_the_same(self, machine: Machine) -> None:
        first = machine.enova("plan", spec(machine))
        before = written(machine.folder / "enova.lock")

        again = machine.enova("plan", "chat.yaml")

        assert again == Outcome(2, first.out, "")
        assert written(machine.folder / "enova.lock") == before

    def test_a_changed_promise_is_chosen_for_anew(self, machine: Machine) -> None:
        machine.enova("plan", spec(machine))
        before = read(machine)["chat"]

        machine.enova("plan", spec(machine, **TIGHTER))

        assert read(machine)["chat"].inputs != before.inputs

    def test_refresh_chooses_anew_though_nothing_changed(self, machine: Machine) -> None:
        machine.enova("plan", spec(machine))
        entry = read(machine)["chat"]
        keep(machine, chat=Entry(inputs=entry.inputs, inventory=entry.inventory, chosen={"replicas": 3}))

        machine.enova("plan", "chat.yaml")
        kept = read(machine)["chat"].chosen
        machine.enova("plan", "chat.yaml", "--refresh")

        assert (kept, read(machine)["chat"]) == ({"replicas": 3}, entry)

    def test_what_users_do_not_ask_for_makes_no_lock(self, machine: Machine) -> None:
        machine.enova("plan", spec(machine, slo="", injection=""))

        assert not (machine.folder / "enova.lock").exists()

    def test_what_comes_from_stdin_has_no_lock(self, machine: Machine) -> None:
        text = (machine.folder / spec(machine)).read_text()

        shown = machine.enova("plan", "-", stdin=text)

        assert ("gpu: h100-sxm (recommended" in shown.out, shown.err) == (True, "")
        assert not (machine.folder / "enova.lock").exists()

    def test_an_infeasible_change_keeps_the_lock(self, machine: Machine) -> None:
        machine.enova("plan", spec(machine))
        before = text_of(machine)

        shown = machine.enova("plan", spec(machine, slo="{tpot: {p95: 1ms}}"))

        assert (shown.code, text_of(machine)) == (1, before)
        assert "refused: chat: infeasible: the closest there is, " in shown.out
        assert "(hint: any of these would do: slo.tpot.p95: " in shown.out

    def test_best_effort_takes_what_comes_closest_and_keeps_it(self, machine: Machine) -> None:
        shown = machine.enova("plan", spec(machine, slo="{tpot: {p95: 1ms}}", budget="{gpus: 1}"), "--best-effort")

        assert (shown.code, read(machine)["chat"].chosen["replicas"]) == (2, 1)
        assert "promised\n" in shown.out
        assert "1.00 ms: broken\n" in shown.out

    @pytest.mark.parametrize("gone", ["docker", "NVML"])
    def test_what_could_not_be_looked_at_keeps_the_lock(self, machine: Machine, gone: str) -> None:
        before = keep(machine, chat=OLD)
        if gone == "docker":
            machine.host.unreachable.add("docker")
        else:
            machine.host.gpus = Unknown("NVML does not answer")

        shown = machine.enova("plan", spec(machine))

        assert (shown.code, text_of(machine), shown.err) == (1, before, "")
        assert "note: chat: nothing is chosen: " in shown.out
        assert shown.out.endswith("Plan: nothing will be done\n")

    def test_a_declared_inventory_is_chosen_from_whatever_can_be_looked_at(self, machine: Machine) -> None:
        machine.host.gpus = Unknown("NVML does not answer")
        declared = machine.write("inventory.yaml", "hosts: [{name: a, gpu: l40s, count: 8}]\n")

        machine.enova("plan", spec(machine), "--inventory", declared)

        assert read(machine)["chat"].chosen["gpu"] == "l40s"


class TestFolders:
    """One lock beside each spec."""

    def test_each_folder_has_its_own(self, machine: Machine) -> None:
        spec(machine, "a", "specs/a.yaml", gateway="{port: 9300}")
        spec(machine, "b", "specs/deep/b.yaml", gateway="{port: 9301}")

        shown = machine.enova("plan")

        assert sorted(shown.err.splitlines()) == [
            f"wrote specs/{folder}enova.lock: commit it with the specs" for folder in ("deep/", "")
        ]
        assert [sorted(read(machine, folder)) for folder in ("specs", "specs/deep")] == [["a"], ["b"]]

    def test_the_order_of_files_makes_no_difference(self, machine: Machine) -> None:
        files = [spec(machine, name, gateway=f"{{port: {port}}}") for name, port in (("a", 9300), ("b", 9301))]

        texts = []
        for ordered in (files, files[::-1]):
            (machine.folder / "enova.lock").unlink(missing_ok=True)
            machine.enova("plan", *ordered)
            texts.append(text_of(machine))

        assert texts[0] == texts[1]

    def test_a_removed_service_leaves_when_its_whole_folder_is_given(self, machine: Machine) -> None:
        spec(machine, "chat", "specs/chat.yaml")
        keep(machine, "specs", gone=OLD)

        machine.enova("plan", "specs/chat.yaml")
        of_one_file = sorted(read(machine, "specs"))
        machine.enova("plan", "specs")

        assert (of_one_file, sorted(read(machine, "specs"))) == (["chat", "gone"], ["chat"])

    def test_a_folder_above_is_the_whole_folder_too(self, machine: Machine) -> None:
        spec(machine, "chat", "specs/deep/chat.yaml")
        keep(machine, "specs/deep", gone=OLD)

        machine.enova("plan")

        assert sorted(read(machine, "specs/deep")) == ["chat"]


class TestLocked:
    """--locked."""

    def test_what_fits_is_planned_and_not_written(self, machine: Machine) -> None:
        first = machine.enova("plan", spec(machine))

        assert machine.enova("plan", "chat.yaml", "--locked") == Outcome(2, first.out, "")

    @pytest.mark.parametrize("command", [("plan",), ("apply", "--yes")], ids=["plan", "apply"])
    def test_all_that_is_stale_is_listed_and_nothing_is_done(
        self, machine: Machine, command: tuple[str, ...]
    ) -> None:
        files = [spec(machine, name, gateway=f"{{port: {port}}}") for name, port in (("a", 9300), ("b", 9301))]
        before = keep(machine, a=OLD)

        shown = machine.enova(*command, *files, "--locked")

        assert shown == Outcome(
            1,
            "",
            "error: the lock does not fit the specs: a, b\n"
            "hint: run `enova plan` without --locked, look at what it chooses, and commit enova.lock\n",
        )
        assert (text_of(machine), machine.host.writes) == (before, [])

    @pytest.mark.parametrize("other", ["--refresh", "--explain", "--chart=c.svg"])
    def test_it_does_not_go_with_choosing_anew(self, machine: Machine, other: str) -> None:
        shown = machine.enova("plan", spec(machine), "--locked", other)

        assert (shown.code, shown.err.startswith("error: --locked ")) == (64, True)


TEXT = lock_text({"chat": OLD})
DAMAGED = {
    "cut off": (TEXT[:-4], "enova.lock:11:13: Expected newline or end of document after a statement"),
    "a merge": (TEXT.replace("gpu =", "<<<<<<< HEAD\ngpu ="), "enova.lock:10:1: Invalid statement"),
    "newer": (TEXT.replace("version = 1", "version = 2"), "enova.lock: has version 2, this Enova reads 1"),
    "strange": (TEXT.replace("gpu =", "cpu ="), "enova.lock: services.chat.chosen: cpu cannot be chosen"),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize(
    "command", [("plan",), ("apply", "--yes"), ("status",), ("plan", "--refresh")], ids=" ".join
)
def test_a_damaged_lock_is_named_with_what_to_do_and_nothing_is_done(
    machine: Machine, command: tuple[str, ...], damage: str
) -> None:
    text, message = DAMAGED[damage]
    text = text[:-1] if damage == "cut off" else text
    machine.write("enova.lock", text)

    shown = machine.enova(*command, spec(machine))

    assert (shown.code, shown.out, machine.host.writes) == (1, "", [])
    first, second = shown.err.splitlines()
    assert first.startswith(f"error: {message.partition(':1')[0]}")
    assert second.startswith("hint: ")
    assert text_of(machine) == text


class TestApply:
    """`enova apply`."""

    def test_it_writes_the_lock_once_agreed(self, machine: Machine) -> None:
        path = spec(machine)

        machine.enova("apply", path, stdin="n\n", terminal=True)
        before = (machine.folder / "enova.lock").exists()
        shown = machine.enova("apply", path, stdin="y\n", terminal=True)

        assert (before, shown.code, sorted(read(machine))) == (False, 0, ["chat"])

    def test_after_it_there_is_nothing_left_to_do(self, machine: Machine) -> None:
        machine.enova("apply", spec(machine), "--yes")

        assert machine.enova("plan", "chat.yaml") == Outcome(0, "In sync: nothing to do\n", "")

    def test_it_runs_as_many_as_were_chosen(self, machine: Machine) -> None:
        machine.enova("plan", spec(machine))
        entry = read(machine)["chat"]
        keep(machine, chat=Entry(inputs=entry.inputs, inventory=entry.inventory, chosen={"replicas": 3}))

        machine.enova("apply", "chat.yaml", "--yes")

        assert len(machine.host.instances) == 4

    def test_a_refused_plan_leaves_the_old_lock(self, machine: Machine) -> None:
        before = keep(machine, chat=OLD)

        shown = machine.enova("apply", spec(machine, slo="{tpot: {p95: 1ms}}"), "--yes")

        assert (shown.code, text_of(machine), machine.host.writes) == (1, before, [])

    def test_a_lock_that_cannot_be_written_stops_it_before_it_begins(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(tempfile, "mkstemp", full)

        shown = machine.enova("apply", spec(machine), "--yes")

        assert shown.err == (
            "error: enova.lock: cannot be written: [Errno 28] No space left on device\n"
            "hint: check the folder, or use --locked\n"
        )
        assert (shown.code, machine.host.writes) == (1, [])


class TestSavedPlan:
    """A plan that waits for review."""

    def test_it_carries_its_choices(self, machine: Machine) -> None:
        machine.enova("plan", spec(machine), "--out", "plan.json")
        (machine.folder / "enova.lock").unlink()

        shown = machine.enova("apply", "plan.json", "--yes")

        assert (shown.code, {one.target for one in machine.host.instances.values()}) == (
            0,
            {"chat#0", "chat@gateway"},
        )
        assert lock_in(saved(machine)["chosen"]["lock"], "plan.json")["chat"].chosen["gpu"] == "h100-sxm"

    def test_it_does_not_follow_a_lock_that_changed_since(self, machine: Machine) -> None:
        machine.enova("plan", spec(machine), "--out", "plan.json")
        before = keep(machine, chat=OLD)

        shown = machine.enova("apply", "plan.json", "--yes")

        assert (shown.code, len(machine.host.instances), text_of(machine)) == (0, 2, before)

    @pytest.mark.parametrize("option", ["--refresh", "--locked", "--best-effort", "--inventory=i.yaml"])
    def test_nothing_else_is_chosen_for_it(self, machine: Machine, option: str) -> None:
        machine.enova("plan", spec(machine), "--out", "plan.json")

        shown = machine.enova("apply", "plan.json", "--yes", option)

        assert shown == Outcome(
            64,
            "",
            "error: a saved plan already says what was chosen\nhint: leave the options for choosing out\n",
        )

    def test_damaged_choices_in_it_are_refused(self, machine: Machine) -> None:
        machine.enova("plan", spec(machine), "--out", "plan.json")
        data = saved(machine)
        data["chosen"]["lock"] = data["chosen"]["lock"].replace("gpu", "<<<<<<< gpu")
        machine.write("plan.json", json.dumps(data))

        shown = machine.enova("apply", "plan.json", "--yes")

        assert shown.err.startswith("error: the saved plan is damaged: the saved plan:")
        assert (shown.code, machine.host.writes) == (1, [])


def saved(machine: Machine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((machine.folder / "plan.json").read_text(encoding="utf-8"))
    return found


class TestStatus:
    """`enova status` compares with what the lock holds, and chooses nothing."""

    def test_what_was_applied_is_as_it_should_be(self, machine: Machine) -> None:
        machine.enova("apply", spec(machine, scaling="{min: 2}"), "--yes")
        before = text_of(machine)

        shown = machine.enova("status", "chat.yaml")

        assert "  Reconciling: False (InSync): as it should be\n" in shown.out
        assert (shown.code, text_of(machine)) == (0, before)

    def test_choices_that_are_not_applied_are_pending(self, machine: Machine) -> None:
        machine.enova("apply", spec(machine), "--yes")
        entry = read(machine)["chat"]
        keep(machine, chat=Entry(inputs=entry.inputs, inventory=entry.inventory, chosen={"replicas": 2}))

        shown = machine.enova("status", "chat.yaml")

        assert "  pending: + create chat#1: not found\n" in shown.out

    def test_without_a_lock_nothing_is_chosen(self, machine: Machine) -> None:
        shown = machine.enova("status", spec(machine))

        assert (shown.code, (machine.folder / "enova.lock").exists()) == (0, False)

    def test_a_spec_that_changed_since_is_compared_all_the_same(self, machine: Machine) -> None:
        keep(machine, chat=Entry(inputs="v1:old", inventory="v1:old", chosen={"scaling.min": 3, "replicas": 3}))

        assert machine.enova("status", spec(machine, scaling="{max: 2}")).code == 0
