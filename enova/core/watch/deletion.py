"""Services whose files are gone: how many may go at once without anybody having said so twice."""

from __future__ import annotations

from collections.abc import Collection

SHARE = 0.3
"""Of a set of specs. A branch that was emptied or a folder that was not mounted takes more than that at a time."""
FEW = 1
"""Removing one service of several is what people do every day."""


def refusal(gone: Collection[str], staying: Collection[str]) -> str:
    """Return why these services must not all be removed at once; empty if they may."""
    if not gone:
        return ""
    names = ", ".join(sorted(gone)[:5]) + (f" and {len(gone) - 5} more" if len(gone) > 5 else "")
    if not staying:
        return f"no spec is left of {names}: nothing is removed"
    if len(gone) > FEW and len(gone) > SHARE * (len(gone) + len(staying)):
        return f"{len(gone)} of {len(gone) + len(staying)} specs are gone at once ({names}): nothing is removed"
    return ""
