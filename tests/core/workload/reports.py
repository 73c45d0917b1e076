"""An injection report that tests share."""

from __future__ import annotations

from typing import Any

from enova.core.workload.report import InjectionReport


def report(name: str = "", arrival: dict[str, Any] | None = None) -> InjectionReport:
    """Return a report of a minute of traffic to two H100."""
    return InjectionReport.model_validate(
        {
            "name": name,
            "tested": {"model": "org/model", "gpu": "h100-sxm", "vllm": "0.32", "replicas": 2},
            "sent": {"injection": {"arrival": arrival} if arrival else {}, "requests": 600},
            "found": {
                "served": 590,
                "failed": 10,
                "duration_s": 60.0,
                "requests_per_s": 9.8,
                "ttft": {"mean": 0.1, "p95": 0.2},
                "e2e": {"p99": 3.0},
            },
        }
    )
