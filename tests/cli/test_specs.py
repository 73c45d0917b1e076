"""`enova init`, `enova validate`, `enova schema` and `enova version`: what touches no machine."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from enova.adapters.specfiles import load
from tests.cli.terminal import Machine


def test_a_first_spec_is_valid_as_it_is(machine: Machine) -> None:
    shown = machine.enova("init", "Qwen/Qwen2.5-7B-Instruct", "--name", "chat")

    assert machine.enova("validate", "-", stdin=shown.out).code == 0
    assert "  name: chat\n" in shown.out


def test_a_first_spec_can_be_written_to_a_new_file_and_overwrites_none(machine: Machine) -> None:
    shown = machine.enova("init", "org/model", "-o", "specs/chat.yaml")

    assert (shown.code, shown.out) == (0, "")
    assert shown.err == "wrote specs/chat.yaml; see what it would do: enova plan specs/chat.yaml\n"
    assert machine.enova("validate").code == 0
    again = machine.enova("init", "org/other", "-o", "specs/chat.yaml")
    assert again.err.startswith("error: specs/chat.yaml exists already\n")
    assert "org/model" in (machine.folder / "specs/chat.yaml").read_text()


@pytest.mark.parametrize("model", ["./models/tiny", "./sub/tiny", "../other/tiny", ".."])
@pytest.mark.parametrize("file", ["t.yaml", "sub/t.yaml", "../other/deep/t.yaml"])
def test_a_first_spec_names_a_folder_from_where_the_spec_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, file: str
) -> None:
    machine = Machine(tmp_path / "here")
    machine.folder.mkdir()
    monkeypatch.chdir(machine.folder)
    given = model if model != ".." else "../"

    assert machine.enova("init", given, "--name", "tiny", "-o", file).code == 0

    (spec,) = load([file])
    assert spec.service.model.id == os.path.normpath(machine.folder / model)


def test_a_first_spec_leaves_other_models_as_they_are(machine: Machine) -> None:
    for index, model in enumerate(["org/model", "/data/tiny", "~/tiny"]):
        machine.enova("init", model, "-o", f"sub/{index}.yaml")

        assert f"  id: {model}\n" in (machine.folder / f"sub/{index}.yaml").read_text()


def test_valid_specs_are_counted(machine: Machine) -> None:
    shown = machine.enova("validate", machine.spec(), machine.spec("other", gateway="{port: 9300}"))

    assert (shown.code, shown.out, shown.err) == (0, "", "ok: 2 services\n")


def test_every_problem_is_told_with_its_place(machine: Machine) -> None:
    machine.write("specs/a.yaml", "metadata: {name: a}\nmodel: org/model\nscaling: {min: 3, max: 2}\n")
    machine.write("specs/b.yaml", "metadata: {name: b}\n")

    shown = machine.enova("validate")

    assert [line.split(" ")[0] for line in shown.out.splitlines()] == ["specs/a.yaml:3:24:", "specs/b.yaml:1:1:"]
    assert (shown.code, shown.err) == (1, "2 problems\n")


def test_problems_as_json(machine: Machine) -> None:
    shown = machine.enova("validate", machine.write("b.yaml", "metadata: {name: b}\n"), "-o", "json")
    found = json.loads(shown.out)

    assert (shown.code, shown.err) == (1, "")
    assert (found["schema_version"], found["valid"]) == (1, False)
    assert [(p["file"], p["line"], p["path"]) for p in found["problems"]] == [("b.yaml", 1, "model")]


def test_in_github_actions_problems_are_annotations(machine: Machine) -> None:
    spec = machine.write("b.yaml", "metadata: {name: b}\n")
    machine.environment["GITHUB_ACTIONS"] = "true"

    assert machine.enova("validate", spec).out.startswith("::error file=b.yaml,line=1,")
    assert machine.enova("validate", spec, "-o", "text").out.startswith("b.yaml:1:1: model: ")


def test_the_schema_is_json(machine: Machine) -> None:
    assert "metadata" in json.loads(machine.enova("schema").out)["properties"]


def test_versions_are_told_as_text_and_json(machine: Machine) -> None:
    found = json.loads(machine.enova("version", "-o", "json").out)

    python = ".".join(map(str, sys.version_info[:3]))
    assert found == {"schema_version": 1, "enova": found["enova"], "python": python, "router": found["router"]}
    assert machine.enova("version").out == (
        f"enova {found['enova']}\npython {found['python']}\nrouter {found['router']}\n"
    )
