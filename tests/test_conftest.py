"""Tests that need Docker are never lost in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import NO_ENGINE

pytest_plugins = ["pytester"]

INI = "[pytest]\nmarkers =\n  docker: needs Docker\n  vllm: needs the real engine\n"


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project of its own, with our conftest, where no Docker engine answers."""
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    monkeypatch.delenv("ENOVA_REQUIRE_DOCKER", raising=False)
    pytester.makeini(INI)
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(
        """
        import pytest

        def test_fast(): pass

        @pytest.mark.docker
        def test_docker(): pass

        @pytest.mark.vllm
        def test_vllm(): pass
        """
    )
    return pytester


def test_the_docker_of_this_machine_is_hidden_from_tests_that_do_not_ask_for_it() -> None:
    assert os.environ["DOCKER_HOST"] == NO_ENGINE


def test_without_an_engine_docker_tests_are_left_out_and_the_summary_counts_them(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.fnmatch_lines(["2 tests were not run: no Docker engine answers"])


def test_where_docker_is_required_its_tests_fail_without_an_engine(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENOVA_REQUIRE_DOCKER", "1")

    result = suite.runpytest_inprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["*no Docker engine answers, and ENOVA_REQUIRE_DOCKER=1*"])


@pytest.mark.parametrize(
    "skip",
    ["pytest.skip('never', allow_module_level=True)", "def test_it(): pytest.skip('never')"],
    ids=["a module", "a test"],
)
def test_where_docker_is_required_any_skip_is_a_failure(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, skip: str
) -> None:
    monkeypatch.setenv("ENOVA_REQUIRE_DOCKER", "1")
    suite.makepyfile(test_skips=f"import pytest\n{skip}\n")

    result = suite.runpytest_inprocess("-p", "no:cacheprovider", "test_skips.py")

    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*skipped although ENOVA_REQUIRE_DOCKER=1 wants every test run*never*"])
