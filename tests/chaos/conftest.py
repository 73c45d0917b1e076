"""A service under load for every scenario, and a table of what became of the load at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.chaos.load import WORKERS, Load
from tests.e2e.conftest import enova

__all__ = ["enova"]

HEADINGS = f"{'ANSWERED':>9} {'STREAMED':>9} {'FAILED':>7} {'CUT':>5} {'SECONDS':>8}  SCENARIO"
PROPERTY = "load"


@pytest.fixture
def load(request: pytest.FixtureRequest) -> Callable[..., AbstractContextManager[Load]]:
    @contextmanager
    def on(url: str, workers: int = WORKERS) -> Iterator[Load]:
        load = Load(url, workers)
        try:
            with load:
                yield load
        finally:
            # A report takes this along, from whichever process the test ran in.
            figures = (load.answered, load.streamed, len(load.failures), len(load.cut), load.took_s)
            request.node.user_properties.append((PROPERTY, figures))

    return on


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        one for found in terminalreporter.stats.values() for one in found if hasattr(one, "user_properties")
    ]
    rows = [
        (*figures, one.head_line)
        for one in reports
        for name, figures in one.user_properties
        if name == PROPERTY and one.when == "call"
    ]
    if not rows:
        return
    terminalreporter.section("chaos: what became of the load")
    terminalreporter.line(HEADINGS)
    for answered, streamed, failed, cut, took_s, test in rows:
        scenario = str(test).removeprefix("test_").replace("_", " ")
        terminalreporter.line(f"{answered:9} {streamed:9} {failed:7} {cut:5} {took_s:8.1f}  {scenario}")
