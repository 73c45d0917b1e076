"""The hook, installed by pre-commit from a repository of Enova's and run in a user's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.users_ci.installed import heavy
from tests.users_ci.runner import ROOT

pytestmark = pytest.mark.slow

GOOD = "metadata: {name: chat}\nmodel: acme/tiny\n"
SHIPPED = [".pre-commit-hooks.yaml", "pyproject.toml", "README.md", "LICENSE"]
LIMIT_S = 600.0


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with Enova as it is here, committed."""
    folder = tmp_path_factory.mktemp("hooks") / "enova"
    shutil.copytree(ROOT / "enova", folder / "enova", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SHIPPED:
        shutil.copy(ROOT / name, folder)
    committed(folder)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where pre-commit keeps what it installed."""
    return tmp_path_factory.mktemp("pre-commit")


@pytest.fixture
def repository(tmp_path: Path, hooks: Path) -> Path:
    """Return a user's repository with one good spec, and the hook configured."""
    folder = tmp_path / "serving"
    (folder / "specs").mkdir(parents=True)
    (folder / "specs" / "chat.yaml").write_text(GOOD)
    commit = git(hooks, "rev-parse", "HEAD")
    (folder / ".pre-commit-config.yaml").write_text(
        f"repos:\n  - repo: {hooks}\n    rev: {commit}\n    hooks: [{{id: enova-validate}}]\n"
    )
    committed(folder)
    return folder


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(folder: Path) -> None:
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "As it is")


def pre_commit(repository: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run the hooks on what is staged, as `git commit` would."""
    git(repository, "add", ".")
    # Git that started these tests, as a hook of it does, would name its own repository here.
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", "--color=never"],
        cwd=repository,
        env=inherited | {"PRE_COMMIT_HOME": str(cache), "GITHUB_ACTIONS": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_a_good_spec_may_be_committed_and_neither_vllm_nor_torch_is_installed_for_it(
    repository: Path, cache: Path
) -> None:
    (repository / "specs" / "chat.yaml").write_text(f"{GOOD}scaling: {{min: 2}}\n")

    done = pre_commit(repository, cache)

    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("enova validate...")
    assert heavy(cache) == []


def test_a_broken_spec_is_kept_from_being_committed_and_its_line_is_named(repository: Path, cache: Path) -> None:
    (repository / "specs" / "chat.yaml").write_text(f"{GOOD}scaling: {{min: -1}}\n")

    done = pre_commit(repository, cache)

    assert done.returncode == 1
    assert "\nspecs/chat.yaml:3:16: scaling.min: " in done.stdout


def test_a_new_spec_is_checked_beside_those_that_were_not_touched(repository: Path, cache: Path) -> None:
    (repository / "specs" / "other.yaml").write_text(GOOD)

    done = pre_commit(repository, cache)

    assert done.returncode == 1
    assert "chat in specs/chat.yaml:1" in done.stdout


def test_a_commit_without_specs_takes_no_check(repository: Path, cache: Path) -> None:
    (repository / "specs" / "README.md").write_text("Our services.\n")

    done = pre_commit(repository, cache)

    assert done.returncode == 0, done.stdout
    assert "(no files to check)Skipped" in done.stdout
