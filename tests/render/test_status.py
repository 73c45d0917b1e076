"""A status as text. Whole tables are tested with `enova status`."""

from __future__ import annotations

import pytest

from enova.render.status import age


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0s"), (59.4, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (86400 * 12, "12d")],
)
def test_an_age_is_told_in_its_largest_unit(seconds: float | None, text: str) -> None:
    assert age(seconds) == text
