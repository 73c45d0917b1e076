"""Questions are answered with fewer requests than a choice takes, but enough to tell one way from another."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def fewer_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enova.core.recommend.trial.REQUESTS", 500)
