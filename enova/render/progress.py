"""News about actions while they are carried out, as lines or as rows. Time is given, nothing is printed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from enova.core.plan import SYMBOLS, Action
from enova.core.rollout import Down, Up

DETAIL_EVERY_S = 5.0
"""A pull or a loading model has news many times a second; a log is read later, by people."""

STEPS = frozenset([*map(str, Up), *map(str, Down)])
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(slots=True)
class Row:
    """One action under way."""

    action: Action
    begun_s: float
    step: str = ""
    detail: str = ""
    told_s: float = 0.0


@dataclass(slots=True)
class Board:
    """What is under way, kept from the news. Not for several threads at once."""

    rows: dict[int, Row] = field(default_factory=dict)

    def news(self, action: Action, phase: str, detail: str, now_s: float) -> str | None:
        """Take in one piece of news and return the line it is worth, if it is worth one."""
        row = self.rows.setdefault(id(action), Row(action, now_s))
        detail = plain(detail).strip()
        if phase != "running":
            del self.rows[id(action)]
            return _ending(row, phase, detail, now_s)
        detail = detail.removeprefix(f"{row.step}: ")
        if detail in (row.step, row.detail):
            return None
        if detail in STEPS:
            row.step, row.detail, row.told_s = detail, "", now_s
            return f"{label(action)}: {detail}"
        row.detail = detail
        if now_s - row.told_s < DETAIL_EVERY_S:
            return None
        row.told_s = now_s
        return f"{label(action)}: {row.step}: {detail}" if row.step else f"{label(action)}: {detail}"


def label(action: Action) -> str:
    """Return what an action is called in one word or two."""
    emulated = " (emulated)" if action.emulated else ""
    return f"{SYMBOLS[action.verb]} {action.verb} {action.target}{emulated}"


def plain(text: str) -> str:
    """Return text without what would move a cursor or change a colour: it may come from an engine's log."""
    return _CONTROL.sub("", text.replace("\r", "\n"))


def _ending(row: Row, phase: str, detail: str, now_s: float) -> str:
    first = detail.partition("\n")[0]
    if phase == "done":
        return f"{label(row.action)}: done in {now_s - row.begun_s:.1f} s"
    return f"{label(row.action)}: {phase}" + (f": {first}" if first else "")
