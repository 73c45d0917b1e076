"""The house stays small: file sizes and file names are held here, so that they cannot creep."""

from __future__ import annotations

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
