"""One line on a run of load that goes on."""

from __future__ import annotations

from enova.core.inject.tally import SoFar
from enova.render.forecast import rate, seconds


def progress_line(so_far: SoFar, asked_per_s: float | None) -> str:
    """Return what is known so far; latencies are of the last seconds, from the schedule."""
    asked = "" if asked_per_s is None else f" ({rate(asked_per_s)}/s asked)"
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(so_far.failures.items()))
    parts = [
        f"{so_far.at_s:.0f} s: sent {so_far.sent:,}{asked}",
        f"in flight {so_far.in_flight:,}",
        f"answered {so_far.answered:,}",
        *([f"failed {so_far.failures.total():,} ({kinds})"] if so_far.failures else []),
        f"now {rate(so_far.recent_per_s)}/s",
        f"TTFT p50 {seconds(so_far.recent_ttft_p50_s)} p95 {seconds(so_far.recent_ttft_p95_s)}",
    ]
    return ", ".join(parts if so_far.sending else [*parts, "waiting for the last answers"])
