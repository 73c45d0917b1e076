"""Result files of load tests: Enova's own, and those of vllm bench serve, GuideLLM and aiperf.

What a file does not say stays unknown. Latencies of the other tools are from the send.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from enova.adapters.measurements.injection_report import read_report
from enova.core.workload.report import KIND, InjectionReport
from enova.errors import Problem

Data = Mapping[str, Any]
MS = 1e-3


def read_any(path: Path) -> tuple[InjectionReport | None, list[Problem]]:
    """Return the report in a file, None if anything is wrong with it, and everything that is. Raises OSError."""
    place = str(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        return None, [Problem(place, error.lineno, error.colno, "", f"is not JSON: {error.msg}")]
    if not isinstance(data, dict):
        return None, [Problem(place, 0, 0, "", _UNKNOWN)]
    if data.get("kind") == KIND:
        return read_report(path)
    read = next((read for mark, read in _FORMS.items() if mark in data), None)
    if read is None:
        return None, [Problem(place, 0, 0, "", _UNKNOWN, f"its keys are {', '.join(list(data)[:8])}")]
    try:
        return InjectionReport.model_validate(read(data) | {"name": path.name}), []
    except (KeyError, IndexError, TypeError, ValueError, ValidationError) as error:
        words = f"is not as its tool writes it: {type(error).__name__} {str(error).splitlines()[0]}"
        return None, [Problem(place, 0, 0, "", words)]


_UNKNOWN = "is no report of an injection, nor a result of vllm bench serve, GuideLLM or aiperf"


def _vllm_bench(data: Data) -> dict[str, Any]:
    """Return what `vllm bench serve --save-result` says."""
    rate, burstiness = data.get("request_rate"), float(data.get("burstiness") or 1.0)
    users = data.get("max_concurrency")
    arrival: dict[str, Any] | None = None
    if isinstance(rate, int | float):
        arrival = {"process": "gamma", "rate": f"{rate:g}/s", "cv": round(burstiness**-0.5, 6)}
        if burstiness == 1:
            arrival = {"process": "poisson", "rate": f"{rate:g}/s"}
        elif arrival["cv"] < 0.001:
            arrival = {"process": "constant", "rate": f"{rate:g}/s"}
    elif users:
        arrival = {"process": "closed_loop", "users": users}
    served, failed = int(data["completed"]), int(data.get("failed") or 0)
    names = {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2e": "e2el"}
    return {
        "sent": {"injection": {"arrival": arrival}, "requests": data.get("num_prompts") or served + failed},
        "found": {
            "served": served,
            "failed": failed,
            "duration_s": data["duration"],
            "requests_per_s": data.get("request_throughput"),
            "output_tokens_per_s": data.get("output_throughput"),
            **{ours: _seen(partial(_bench_value, data, theirs)) for ours, theirs in names.items()},
        },
    }


def _bench_value(data: Data, metric: str, statistic: str) -> float | None:
    theirs = "median" if statistic == "p50" else statistic
    value = data.get(f"{theirs}_{metric}_ms")
    return None if value is None else MS * float(value)


def _guidellm(data: Data) -> dict[str, Any]:
    """Return what the first benchmark in a file of GuideLLM's says."""
    first = data["benchmarks"][0]
    metrics = first["metrics"]
    totals = metrics["request_totals"]
    names = {
        "ttft": ("time_to_first_token_ms", MS),
        "tpot": ("time_per_output_token_ms", MS),
        "itl": ("inter_token_latency_ms", MS),
        "e2e": ("request_latency", 1.0),
    }

    def of(metric: str, unit_s: float) -> Callable[[str], float | None]:
        found = (metrics.get(metric) or {}).get("successful") or {}
        values = {**(found.get("percentiles") or {}), "mean": found.get("mean"), "max": found.get("max")}
        return lambda key: None if values.get(key) is None else unit_s * float(values[key])

    return {
        "sent": {"injection": {}, "requests": totals["total"]},
        "found": {
            "served": totals["successful"],
            "failed": totals["errored"],
            "duration_s": first["duration"],
            "requests_per_s": metrics["requests_per_second"]["successful"]["mean"],
            "output_tokens_per_s": metrics["output_tokens_per_second"]["successful"]["mean"],
            **{ours: _seen(of(*theirs)) for ours, theirs in names.items()},
        },
    }


def _aiperf(data: Data) -> dict[str, Any]:
    """Return what aiperf's profile_export_aiperf.json says."""
    names = {"ttft": "time_to_first_token", "itl": "inter_token_latency", "e2e": "request_latency"}

    def of(metric: str) -> Callable[[str], float | None]:
        found = data.get(metric) or {}
        unit_s = {"ms": MS, "sec": 1.0, "s": 1.0}[found.get("unit", "ms")]
        theirs = {"mean": "avg"}
        return lambda key: None if (value := found.get(theirs.get(key, key))) is None else unit_s * float(value)

    served = int(data["request_count"]["avg"])
    failed = int((data.get("error_request_count") or {}).get("avg") or 0)
    return {
        "sent": {"injection": {}, "requests": served + failed},
        "found": {
            "served": served,
            "failed": failed,
            "duration_s": data["benchmark_duration"]["avg"],
            "requests_per_s": data["request_throughput"]["avg"],
            "output_tokens_per_s": (data.get("output_token_throughput") or {}).get("avg"),
            **{ours: _seen(of(theirs)) for ours, theirs in names.items()},
        },
    }


def _seen(value: Callable[[str], float | None]) -> dict[str, float]:
    known = {name: value(name) for name in ("mean", "p50", "p90", "p95", "p99", "max")}
    return {name: seconds for name, seconds in known.items() if seconds is not None}


_FORMS: Mapping[str, Callable[[Data], dict[str, Any]]] = {
    "mean_ttft_ms": _vllm_bench,
    "benchmarks": _guidellm,
    "request_count": _aiperf,
}
"""By a key that only its files have."""
