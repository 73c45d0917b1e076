"""What the daemon of a set of specs says of itself, for people."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.text import Text

from enova.core.watch.report import Report
from enova.render.progress import plain
from enova.render.status import age


def daemon_text(report: Report, *, alive: bool, now_s: float) -> Text:
    """Return who keeps which specs, and everything that is not simply in sync. `now_s` is Unix time."""
    text = Text()
    advisory = " (advisory: it only says what it would do)" if report.advisory else ""
    text.append(f"{report.source}", "bold")
    if alive:
        since = datetime.fromtimestamp(report.since_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
        text.append(f"  kept by {report.holder} since {since} UTC{advisory}; ")
        text.append(f"looked {age(max(0.0, now_s - report.at_s))} ago\n")
    else:
        text.append("  kept by nobody now", "yellow")
        # What it said then need not be true any more.
        return text.append(f": {report.holder} looked last {age(max(0.0, now_s - report.at_s))} ago\n\n")
    if report.revision:
        text.append(f"  revision: {plain(report.revision)}\n")
    if report.last_good and report.last_good != report.revision:
        text.append(f"  last good revision: {plain(report.last_good)}\n")
    for what, lines, style in (
        ("problem", report.problems, "red"),
        ("not seen", report.unseen, "magenta"),
        ("refused", (report.refusal,) if report.refusal else (), "red"),
    ):
        for line in lines:
            text.append(f"  {what}: ", style).append(f"{plain(line)}\n")
    for name, one in report.services.items():
        if one.in_force != "as written":
            text.append(f"  {name}: ").append(one.in_force, "yellow").append(f": {plain(one.reason)}\n")
        waits = (one.waits,) if one.waits else ()
        scaling = (one.scaling,) if one.scaling else ()
        traffic = (one.traffic,) if one.traffic else ()
        told = (("doing", one.doing), ("would do", one.would), ("waits", waits), ("now", traffic))
        for what, lines in (*told, ("scaling", scaling), ("not measured", one.unmeasured)):
            for line in lines:
                text.append(f"  {name}: {what}: ", "cyan").append(f"{plain(line)}\n")
    return text.append("\n")
