"""The history as people read it."""

from __future__ import annotations

from enova.core.revision import Ending
from enova.render.history import history_text
from tests.core.revisions import revision


def test_a_commit_is_shortened_and_changes_beside_it_are_told() -> None:
    text = history_text([revision(number=3, git_revision=f"{'0123456789' * 4} (changed)")]).plain

    assert "0123456789 (changed)" in text
    assert "01234567890" not in text


def test_what_ended_badly_says_why_below_the_table_without_control_signs() -> None:
    text = history_text([revision(number=4, ending=Ending.FAILED, reason="chat#0: \x1b[31mout of memory")]).plain

    assert "\n4 failed: chat#0: " in text
    assert "\x1b" not in text
