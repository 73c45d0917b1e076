"""Revisions for tests to start from."""

from __future__ import annotations

from typing import Any

from enova.core.revision import Cause, Ending, Revision


def revision(**changes: Any) -> Revision:
    """Return one that was applied."""
    values: dict[str, Any] = {
        "at_s": 1000.0,
        "service": "chat",
        "cause": Cause.CHANGE,
        "command": "enova apply",
        "spec": {"metadata": {"name": "chat"}, "model": {"id": "org/model"}},
        "digest": "a",
        "ending": Ending.APPLIED,
    }
    return Revision(**(values | changes))
