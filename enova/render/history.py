"""What was applied, for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.text import Text

from enova.core.revision import Ending, Revision
from enova.render.progress import plain
from enova.render.table import table_text

HEADINGS = ("NUMBER", "WHEN (UTC)", "SERVICE", "WHAT", "BY", "GIT", "ENDED", "STEPS")
SHOWN_OF_COMMIT = 10


def history_text(revisions: Sequence[Revision]) -> Text:
    """Return a line for each, and below them why those that did not end well did not."""
    text = Text()
    if not revisions:
        return text.append("Nothing was applied yet, as far as the history goes\n")
    text.append(table_text(HEADINGS, map(_row, revisions), right=frozenset({"NUMBER", "STEPS"})))
    for one in revisions:
        if one.why:
            text.append(f"\n{one.number} why: ", "cyan").append(f"{plain(one.why)}\n")
        if one.reason:
            style = "red" if one.ending is Ending.FAILED else "yellow"
            text.append(f"\n{one.number} {one.ending}: ", style).append(f"{plain(one.reason)}\n")
    return text


def _row(one: Revision) -> tuple[str, ...]:
    commit, _, rest = one.git_revision.partition(" ")
    return (
        str(one.number),
        datetime.fromtimestamp(one.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        one.service,
        f"{one.cause} ({one.command})",
        one.who or "-",
        f"{commit[:SHOWN_OF_COMMIT]} {rest}".strip() or "-",
        str(one.ending),
        str(len(one.actions)),
    )
