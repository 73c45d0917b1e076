"""docs/ci.md says what the action and the hook really take."""

from __future__ import annotations

import re
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
