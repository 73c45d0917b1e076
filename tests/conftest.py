"""Decide what happens to tests that need Docker: run them, leave them out and say so, or fail.

Left out: only where no engine answers and nobody asked for it. With ENOVA_REQUIRE_DOCKER=1 they fail instead, and
so does every test that is skipped for whatever reason: what was not run must not look like what passed.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Generator

import docker
import pytest
from docker.errors import DockerException

REQUIRED = os.environ.get("ENOVA_REQUIRE_DOCKER") == "1"
LEFT_OUT = pytest.StashKey[int]()


@functools.cache
def engine_answers() -> bool:
    try:
        client = docker.from_env(timeout=10)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def needs_docker(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("docker", "vllm"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need Docker where there is none; after -m and -k have chosen."""
    wanting = [item for item in items if needs_docker(item)]
    if not wanting or REQUIRED or engine_answers():
        return
    config.hook.pytest_deselected(items=wanting)
    config.stash[LEFT_OUT] = len(wanting)
    items[:] = [item for item in items if not needs_docker(item)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that needs Docker at once, in plain words, rather than in its first call."""
    if needs_docker(item) and not engine_answers():
        pytest.fail("no Docker engine answers, and ENOVA_REQUIRE_DOCKER=1", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_skipped(report)
    return report


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRED and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"skipped although ENOVA_REQUIRE_DOCKER=1 wants every test run: {report.longrepr}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash.get(LEFT_OUT, 0)
    if left_out:
        terminalreporter.line(f"{left_out} tests that need Docker were not run: no engine answers.", yellow=True)
