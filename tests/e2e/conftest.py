"""A command line per test that leaves nothing behind, however the test ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import Enova


@pytest.fixture
def enova(tmp_path: Path) -> Iterator[Enova]:
    command = Enova(tmp_path)
    yield command
    for service in command.started:
        gone = command("delete", service, "--yes")
        assert gone.returncode == 0 or "no service" in gone.stderr, gone.stderr
