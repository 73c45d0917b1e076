"""Fixtures of the emulator's tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from enova.emulator.arguments import Settings
from tests.emulator.serving import Serve, served


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that serves an emulated engine until the test ends, and returns its base URL."""
    with ExitStack() as stack:

        def start(wanted: Settings) -> str:
            return stack.enter_context(served(wanted))

        yield start
