"""A command line per test that leaves nothing behind, as for whole paths, with GitHub's API beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import enova
from tests.users_ci.github import GitHub

__all__ = ["enova", "github"]


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub().serve() as github:
        yield github
