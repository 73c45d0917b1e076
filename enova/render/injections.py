"""The runs of load that were kept, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.text import Text

from enova.core.workload.report import InjectionReport
from enova.render.forecast import rate, seconds
from enova.render.table import table_text

HEADINGS = ("run", "ended (UTC)", "of", "requests", "sent/s", "failed", "TTFT p95", "TPOT p95", "E2E p95", "is")
_RIGHT = frozenset(HEADINGS) - {"of", "ended (UTC)", "is"}


def injections_text(runs: Sequence[tuple[int, float, InjectionReport]]) -> Text:
    """Return a table of runs: number, when it ended as Unix time, and report."""
    return table_text(HEADINGS, [_row(*run) for run in runs], right=_RIGHT) if runs else Text()


def _row(number: int, at_s: float, report: InjectionReport) -> tuple[str, ...]:
    found, delivery = report.found, report.sent.delivery
    seen = found.seen
    latencies = (getattr(seen, metric).p95 for metric in ("ttft", "tpot", "e2e"))
    verdict = "valid" if report.valid else "INVALID"
    if report.valid and report.slo:
        verdict = "kept" if report.keeps else "BROKEN"
    return (
        str(number),
        datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M"),
        report.name,
        f"{report.sent.requests:,}",
        "-" if delivery is None else rate(delivery.achieved_per_s),
        str(found.failed),
        *("-" if value is None else seconds(value) for value in latencies),
        verdict,
    )
