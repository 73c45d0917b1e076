"""docs/ci.md says what the action and the hook really take, and GitHub and pre-commit take them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.users_ci.runner import ROOT

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
SAFE = YAML(typ="safe")
ACTION: dict[str, Any] = SAFE.load(ROOT / "action.yml")


def examples() -> list[Any]:
    return [SAFE.load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]


def test_every_input_and_output_is_explained() -> None:
    named = set(re.findall(r"`([a-z-]+)`", PAGE))

    assert (ACTION["inputs"].keys() | ACTION["outputs"].keys()) - named == set()


def test_workflows_give_inputs_that_there_are() -> None:
    jobs = [job for example in examples() for job in example.get("jobs", {}).values()]
    uses = [step for job in jobs for step in job["steps"] if step["uses"].startswith("your-org/enova@")]

    assert len(uses) == 2
    assert all(step["with"].keys() <= ACTION["inputs"].keys() for step in uses)


def test_the_hook_goes_by_the_name_it_has() -> None:
    configured = [
        hook["id"] for example in examples() for repo in example.get("repos", ()) for hook in repo["hooks"]
    ]

    assert configured == [hook["id"] for hook in SAFE.load(ROOT / ".pre-commit-hooks.yaml")]


def test_the_action_is_one_to_github() -> None:
    assert found_by("check_jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml") == ""


def test_workflows_are_such_to_github(tmp_path: Path) -> None:
    blocks = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "jobs:" in block]
    files = [tmp_path / f"{number}.yml" for number in range(len(blocks))]
    for file, block in zip(files, blocks, strict=True):
        file.write_text(block, encoding="utf-8")

    assert found_by("check_jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, files)) == ""


def test_the_hook_is_one_to_pre_commit() -> None:
    assert found_by("pre_commit", "validate-manifest", ".pre-commit-hooks.yaml") == ""


def found_by(program: str, *words: str) -> str:
    """Return what a checker has to say if it does not agree."""
    argv = [sys.executable, "-m", program, *words]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return f"{done.stdout}{done.stderr}" if done.returncode else ""
