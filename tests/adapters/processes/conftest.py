"""A process runtime of its own for each test, with nothing left running afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from enova.adapters.processes import ProcessRuntime
from tests.adapters.processes.staging import WAITS, alive_below, install_vllm


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on PATH, with a vllm in it that just waits."""
    folder = tmp_path / "bin"
    folder.mkdir()
    install_vllm(folder, WAITS)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def runtime(programs: Path, state_dir: Path) -> Iterator[ProcessRuntime]:
    runtime = ProcessRuntime(state_dir)
    yield runtime
    for instance in runtime.look().instances:
        runtime.remove(instance.id)
    assert not alive_below(state_dir)
