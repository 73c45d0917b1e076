"""A service under load for every scenario, and a table of what became of the load at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.chaos.load import Load
from tests.e2e.conftest import enova

__all__ = ["enova"]

ROWS: list[tuple[str, Load]] = []


@pytest.fixture
def load(request: pytest.FixtureRequest) -> Callable[[str], AbstractContextManager[Load]]:
    @contextmanager
    def on(url: str) -> Iterator[Load]:
        load = Load(url)
        ROWS.append((request.node.name, load))
        with load:
            yield load

    return on


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not ROWS:
        return
    terminalreporter.section("chaos: what became of the load")
    terminalreporter.line(f"{'ANSWERED':>9} {'STREAMED':>9} {'FAILED':>7} {'CUT':>5} {'SECONDS':>8}  SCENARIO")
    for name, load in ROWS:
        terminalreporter.line(
            f"{load.answered:9} {load.streamed:9} {len(load.failures):7} {len(load.cut):5} {load.took_s:8.1f}  "
            + name.removeprefix("test_").replace("_", " ")
        )
