"""Decide what happens to tests that need Docker: run them, leave them out and say so, or fail.

Left out: only where the engine or the real vLLM's image is missing and nobody asked for it. With
ENOVA_REQUIRE_DOCKER=1 they fail instead, and so does every test that is skipped for whatever reason: what was not
run must not look like what passed.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Generator

import pytest

REQUIRED = os.environ.get("ENOVA_REQUIRE_DOCKER") == "1"
VLLM_IMAGE = "enova/vllm-cpu:test"
NO_ENGINE = "unix:///nonexistent/docker.sock"
LEFT_OUT = pytest.StashKey[Counter[str]]()


# In a process of its own: the SDK leaves a socket open when nothing answers, and a test would be blamed for it.
LOOK = """
import sys, docker
from docker.errors import DockerException, ImageNotFound
try:
    client = docker.from_env(timeout=10)
    client.ping()
    if len(sys.argv) > 1: client.images.get(sys.argv[1])
except ImageNotFound:
    sys.exit(f"the image {sys.argv[1]} is not built (make test-image)")
except (DockerException, OSError):
    sys.exit("no Docker engine answers")
"""


@functools.cache
def lacking(*images: str) -> str:
    """Return what is missing to run a test that needs Docker, and the image if one is named; else nothing."""
    look = subprocess.run([sys.executable, "-c", LOOK, *images], stderr=subprocess.PIPE, text=True, check=False)
    return look.stderr.strip() if look.returncode else ""


def lacks(item: pytest.Item) -> str:
    if item.get_closest_marker("vllm"):
        return lacking(VLLM_IMAGE)
    return lacking() if item.get_closest_marker("docker") else ""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here; after -m and -k have chosen."""
    if REQUIRED:
        return
    left_out = {item: reason for item in items if (reason := lacks(item))}
    config.hook.pytest_deselected(items=list(left_out))
    config.stash[LEFT_OUT] = Counter(left_out.values())
    items[:] = [item for item in items if item not in left_out]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that needs Docker at once, in plain words, rather than in its first call."""
    if reason := lacks(item):
        pytest.fail(f"{reason}, and ENOVA_REQUIRE_DOCKER=1", pytrace=False)


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


@pytest.fixture(autouse=True)
def engine_of_docker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the Docker of this machine from tests that do not ask for it: what else runs there is not theirs."""
    if not any(request.node.get_closest_marker(mark) for mark in ("docker", "vllm")):
        monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRED and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"skipped although ENOVA_REQUIRE_DOCKER=1 wants every test run: {report.longrepr}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for reason, count in config.stash.get(LEFT_OUT, Counter()).items():
        terminalreporter.line(f"{count} tests were not run: {reason}", yellow=True)


@pytest.fixture
def few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate less than a choice takes, for tests that are not about what is chosen."""
    monkeypatch.setattr("enova.core.recommend.trial.REQUESTS", 300)
    monkeypatch.setattr("enova.core.recommend.expect.ENOUGH_REQUESTS", 300)
