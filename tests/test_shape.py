"""The house stays small: file sizes and file names are held here, so that they cannot creep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "enova"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 350
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_short_and_named_after_what_it_holds(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())

    assert lines <= MAX_LINES, f"{path} has {lines} lines: split it by concept, at most {MAX_LINES} lines a file"
    assert path.stem not in VAGUE_NAMES, f"{path}: name the file after a pipeline stage or a domain noun"


def test_the_package_is_where_this_test_looks() -> None:
    assert PACKAGE / "core" / "plan.py" in MODULES


@pytest.mark.parametrize(
    "banned", ["import time\n\nNOW = time.time()\n", "import random\n\nDIE = random.random()\n"]
)
def test_clocks_and_dice_are_banned_from_core_and_from_nowhere_else(banned: str) -> None:
    assert "TID251" in findings(banned, "enova/core/new.py")
    assert "TID251" in findings(banned, "enova/core/spec/new.py")
    assert "TID251" not in findings(banned, "enova/adapters/new.py")


def findings(source: str, filename: str) -> str:
    words = ["ruff", "check", "--quiet", "--output-format=concise", f"--stdin-filename={filename}", "-"]
    return subprocess.run(
        [sys.executable, "-m", *words],
        input=source,
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        check=False,
    ).stdout
