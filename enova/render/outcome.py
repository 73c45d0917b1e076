"""What became of a plan, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from enova.core.launch import Kind, Launch
from enova.core.plan import Action
from enova.render.progress import label, plain

Ends = Sequence[tuple[Action, str, str | None]]
"""Actions that did not come to their end, each with its message and hint."""


def outcome_text(done: int, failures: Ends, stopped: Ends, skipped: int, *, interrupted: bool) -> Text:
    """Return every failure with its whole message and hint, then one line that counts."""
    text = Text()
    for word, style, ends in (("failed", "red", failures), ("unfinished", "yellow", stopped)):
        for action, message, hint in sorted(ends, key=lambda end: (end[0].service, end[0].target)):
            text.append(f"{word}: ", style).append(f"{label(action)}: {plain(message)}\n")
            if hint:
                text.append(f"  hint: {hint}\n")
    counts = [f"{done} done"]
    counts += [f"{len(failures)} failed"] if failures else []
    counts += [f"{len(stopped)} unfinished"] if stopped else []
    counts += [f"{skipped} not begun"] if skipped else []
    what = "Interrupted" if interrupted else "Failed" if failures or skipped else "Applied"
    return text.append(f"{what}: {', '.join(counts)}", "bold").append("\n")


def endpoint_text(gateway: Launch, replica: Launch) -> Text:
    """Return where a service answers, as a client on this machine would write it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(gateway.host, gateway.host)  # noqa: S104 - shown, not bound
    address = f"[{host}]" if ":" in host else host
    text = Text().append(gateway.service, "bold").append(f": http://{address}:{gateway.port}/v1")
    return text.append(" (emulated)\n" if replica.kind is Kind.EMULATED else "\n")
