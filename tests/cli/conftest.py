"""Every test of a command starts in an empty folder, before an empty machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.terminal import Machine


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.chdir(tmp_path)
    return Machine(tmp_path)
