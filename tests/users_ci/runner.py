"""As much of GitHub's runner as a composite action of bash steps needs: expressions, steps, outputs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
LIMIT_S = 300.0
WORDS = re.compile(r"'[^']*'|[A-Za-z_][\w.-]*\(?|&&|\|\||==|!=|!|[()]")
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
SIGNS = {"&&": "and", "||": "or", "!": "not"}
BASH = ("bash", "--noprofile", "--norc", "-eo", "pipefail")
"""What `shell: bash` means there."""


@dataclass(slots=True)
class Ran:
    """What became of the action: its outputs, what the log and the summary say, and how each step ended."""

    log: str = ""
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    """By the name of the step: success, failure or skipped."""

    @property
    def ok(self) -> bool:
        return "failure" not in self.outcomes.values()


@dataclass(slots=True)
class Runner:
    """A machine that runs `action.yml` in a checkout of a user's repository."""

    workspace: Path
    temp: Path
    environment: Mapping[str, str]
    """Of the job: PATH and what the user sets."""
    action: Mapping[str, Any] = field(default_factory=lambda: YAML(typ="safe").load(ROOT / "action.yml"))

    def run(self, event_name: str, event: Mapping[str, Any], ref: str, commit: str, **inputs: str) -> Ran:
        """Run every step of the action for an event. Underscores in names of inputs stand for hyphens."""
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert given.keys() <= self.action["inputs"].keys()
        contexts: dict[str, Any] = {"github": {"event": event, "token": "secret-token"}, "steps": {}}
        defaults = {name: filled(one["default"], contexts) for name, one in self.action["inputs"].items()}
        contexts["inputs"] = defaults | given
        self.temp.mkdir(exist_ok=True)
        event_file = self.temp / "event.json"
        event_file.write_text(json.dumps(event), encoding="utf-8")
        job = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_EVENT_NAME": event_name,
            "GITHUB_EVENT_PATH": str(event_file),
            "GITHUB_REF": ref,
            "GITHUB_SHA": commit,
            "RUNNER_TEMP": str(self.temp),
            "RUNNER_TRACKING_ID": "github_1",
        }
        ran = Ran()
        for step in self.action["runs"]["steps"]:
            self._step(step, contexts, job, ran)
        ran.outputs = {name: filled(one["value"], contexts) for name, one in self.action["outputs"].items()}
        return ran

    def _step(self, step: Mapping[str, Any], contexts: dict[str, Any], job: Mapping[str, str], ran: Ran) -> None:
        assert step["shell"] == "bash"
        condition = step.get("if", "success()")
        if "always()" not in condition:
            condition = f"success() && ({condition})"
        outcome, outputs = "skipped", dict[str, str]()
        if value(condition, contexts, ok=ran.ok):
            own = {name: filled(text, contexts) for name, text in step.get("env", {}).items()}
            outcome, outputs = self._bash(step["run"], {**job, **own}, ran)
        ran.outcomes[step["name"]] = outcome
        contexts["steps"][step.get("id", step["name"])] = {"outcome": outcome, "outputs": outputs}

    def _bash(self, script: str, environment: Mapping[str, str], ran: Ran) -> tuple[str, dict[str, str]]:
        files = {name: self.temp / name for name in ("step.sh", "output", "summary")}
        for file in files.values():
            file.write_text("", encoding="utf-8")
        files["step.sh"].write_text(script, encoding="utf-8")
        named = {"GITHUB_OUTPUT": str(files["output"]), "GITHUB_STEP_SUMMARY": str(files["summary"])}
        done = subprocess.run(
            [*BASH, str(files["step.sh"])],
            cwd=self.workspace,
            env={**self.environment, **environment, **named},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        ran.log += done.stdout
        ran.summary += files["summary"].read_text(encoding="utf-8")
        lines = files["output"].read_text(encoding="utf-8").splitlines()
        return "failure" if done.returncode else "success", dict(line.split("=", 1) for line in lines)


def filled(text: str, contexts: Mapping[str, Any]) -> str:
    """Return a text with the values of its expressions."""
    return EXPRESSION.sub(lambda found: str(value(found[1], contexts)), text)


def value(expression: str, contexts: Mapping[str, Any], *, ok: bool = True) -> Any:
    """Return the value of an expression, of those kinds that the action has."""
    functions: dict[str, Callable[[], bool]] = {"always": lambda: True, "success": lambda: ok}
    assert not WORDS.sub("", expression).strip(), f"cannot read {expression}"
    words = [_python(word) for word in WORDS.findall(expression)]
    return eval(" ".join(words), {"__builtins__": {}}, functions | {"look_up": _look_up(contexts)})


def _python(word: str) -> str:
    if word[0].isalpha() and not word.endswith("("):
        return f"look_up({word!r})"
    return SIGNS.get(word, word)


def _look_up(contexts: Mapping[str, Any]) -> Callable[[str], Any]:
    def look_up(name: str) -> Any:
        found: Any = contexts
        for part in name.split("."):
            found = found.get(part, "") if isinstance(found, Mapping) else ""
        return found

    return look_up
