"""Result files of runs of load, of Enova's own form and of other tools', all as injection reports.

What a file does not say is absent from its report: no tool says which engine got the load, or for which service.
Lengths are the means a file tells, as if all requests were alike, and latencies that mean something else than ours
are left out:

- `vllm bench serve --save-result`: its TPOT is of each request and its ITL of all tokens, as ours are.
- aiperf (profile_export_aiperf.json): its inter-token latency is of each request, so our TPOT, and its inter-chunk
  latency is our ITL.
- GuideLLM: its time per output token counts the first token too, and has no equal here. Its inter-token latency
  weighs each request's mean by its tokens: the mean is our ITL's, percentiles are not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from enova.adapters.measurements.injection_report import read_report
from enova.core.workload.report import KIND, InjectionReport
from enova.errors import Problem

Told = Mapping[str, Any]

FORMS = "an injection report of Enova's, or results of `vllm bench serve`, aiperf or GuideLLM"
_PERCENTILES = ("p50", "p90", "p95", "p99")
_SECONDS = {"ms": 1e-3, "sec": 1.0, "s": 1.0, "us": 1e-6, "ns": 1e-9}


def read_any(path: Path) -> tuple[InjectionReport | None, list[Problem]]:
    """Return the report in a file of any form that is known, None if anything is wrong, and everything that is."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return None, [_problem(path, f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        return None, [_problem(path, f"is not UTF-8: {error.reason}")]
    except json.JSONDecodeError as error:
        return None, [Problem(str(path), error.lineno, error.colno, "", f"is not JSON: {error.msg}")]
    if isinstance(told, dict) and told.get("kind") == KIND:
        return read_report(path)
    form = _form_of(told) if isinstance(told, dict) else None
    if form is None:
        return None, [_problem(path, "is not understood", hint=f"it may be {FORMS}")]
    try:
        return InjectionReport.model_validate(form(told)), []
    except ValidationError as error:
        wrong = [(".".join(str(part) for part in found["loc"]), found["msg"]) for found in error.errors()]
        return None, [Problem(str(path), 0, 0, key, words) for key, words in wrong]
    except KeyError as error:
        return None, [_problem(path, f"lacks {error.args[0]}")]
    except (AttributeError, TypeError, ValueError) as error:
        return None, [_problem(path, f"is not understood: {error}")]


def _problem(path: Path, words: str, *, hint: str | None = None) -> Problem:
    return Problem(str(path), 0, 0, "", words, hint)


def _form_of(told: Told) -> Callable[[Told], dict[str, Any]] | None:
    """Return how to read a file, going by the keys that only this tool's have."""
    if "aiperf_version" in told or {"request_latency", "input_config"} <= told.keys():
        return _aiperf
    if isinstance(told.get("benchmarks"), list):
        return _guidellm
    if {"completed", "duration", "request_throughput"} <= told.keys():
        return _vllm
    return None


def _vllm(told: Told) -> dict[str, Any]:
    served = told["completed"]
    sent = told.get("num_prompts", served)
    rate, users = told.get("request_rate"), told.get("max_concurrency")
    arrival: dict[str, Any] | None = None
    # An endless rate is written as a word. Together with a limit it makes a closed loop.
    if rate is not None and math.isfinite(float(rate)):
        burstiness = float(told.get("burstiness", 1.0))
        arrival = {"process": "poisson", "rate": f"{float(rate)}/s"}
        if burstiness != 1.0:
            # It is the shape of the gamma distribution of gaps.
            arrival |= {"process": "gamma", "cv": burstiness**-0.5}
    elif users is not None:
        arrival = {"process": "closed_loop", "users": users}
    means = (told.get(f"total_{side}_tokens", 0) / served if served else 0 for side in ("input", "output"))
    seen = {
        ours: {
            statistic: value * 1e-3
            for statistic, names in _VLLM_STATISTICS.items()
            if (value := next((told[key] for name in names if (key := f"{name}_{theirs}_ms") in told), None))
            is not None
        }
        for ours, theirs in (("ttft", "ttft"), ("tpot", "tpot"), ("itl", "itl"), ("e2e", "e2el"))
    }
    return {
        "sent": {"requests": sent, "injection": _injection(arrival, *means)},
        "found": {
            "served": served,
            "failed": told.get("failed", sent - served),
            "duration_s": told["duration"],
            "requests_per_s": told["request_throughput"],
            **(seen if served else {}),
        },
    }


_VLLM_STATISTICS = {"mean": ("mean",), "p50": ("median", "p50"), "p90": ("p90",), "p95": ("p95",), "p99": ("p99",)}


def _aiperf(told: Told) -> dict[str, Any]:
    served = round(told["request_count"]["avg"]) if "request_count" in told else 0
    failed = round(told["error_request_count"]["avg"]) if told.get("error_request_count") else 0
    config = told.get("input_config") or {}
    phases = [phase for phase in config.get("phases") or [] if phase.get("kind", "profiling") == "profiling"]
    means = ((told.get(f"{side}_sequence_length") or {}).get("avg", 0) for side in ("input", "output"))
    seen = {ours: _of_aiperf(told[theirs]) for ours, theirs in _AIPERF_LATENCIES.items() if told.get(theirs)}
    return {
        "sent": {
            "requests": served + failed,
            "injection": _injection(_aiperf_arrival(phases[0]) if len(phases) == 1 else None, *means),
        },
        "found": {
            "served": served,
            "failed": failed,
            "duration_s": _in_seconds(told["benchmark_duration"], "avg"),
            "requests_per_s": (told.get("request_throughput") or {}).get("avg"),
            **seen,
        },
    }


_AIPERF_LATENCIES = {
    "ttft": "time_to_first_token",
    "tpot": "inter_token_latency",
    "itl": "inter_chunk_latency",
    "e2e": "request_latency",
}


def _aiperf_arrival(phase: Told) -> dict[str, Any] | None:
    if phase.get("type") in ("constant", "poisson") and phase.get("rate"):
        return {"process": phase["type"], "rate": f"{float(phase['rate'])}/s"}
    if phase.get("type") == "concurrency" and phase.get("concurrency"):
        return {"process": "closed_loop", "users": phase["concurrency"]}
    return None


def _of_aiperf(metric: Told) -> dict[str, float]:
    names = {"mean": "avg"} | {name: name for name in _PERCENTILES}
    return {ours: _in_seconds(metric, theirs) for ours, theirs in names.items() if metric.get(theirs) is not None}


def _in_seconds(metric: Told, statistic: str) -> float:
    seconds: float = metric[statistic] * _SECONDS[metric["unit"]]
    return seconds


def _guidellm(told: Told) -> dict[str, Any]:
    if len(told["benchmarks"]) != 1:
        raise ValueError(f"it holds {len(told['benchmarks'])} runs, and a report is of one")
    run = told["benchmarks"][0]
    metrics, config = run["metrics"], run.get("config") or {}
    totals = metrics["request_totals"]
    means = ((_successful(metrics, f"{side}_token_count") or {}).get("mean", 0) for side in ("prompt", "output"))
    seen = {
        ours: _of_guidellm(found, per_second)
        for ours, theirs, per_second in _GUIDELLM_LATENCIES
        if (found := _successful(metrics, theirs)) is not None
    }
    if "itl" in seen:
        seen["itl"] = {"mean": seen["itl"]["mean"]}
    return {
        "sent": {
            "requests": totals["total"],
            "injection": _injection(_guidellm_arrival(config.get("strategy") or {}), *means),
        },
        "found": {
            "served": totals["successful"],
            "failed": totals["errored"],
            "duration_s": run["duration"],
            "requests_per_s": (_successful(metrics, "requests_per_second") or {}).get("mean"),
            **seen,
        },
    }


_GUIDELLM_LATENCIES = (
    ("ttft", "time_to_first_token_ms", 1e3),
    ("itl", "inter_token_latency_ms", 1e3),
    ("e2e", "request_latency", 1.0),
)


def _successful(metrics: Told, name: str) -> Told | None:
    """Return a distribution over requests that were answered, None where there are none: its figures are zeros."""
    found: Told | None = (metrics.get(name) or {}).get("successful")
    return found if found and found.get("count", 1) else None


def _of_guidellm(metric: Told, per_second: float) -> dict[str, float]:
    figures = {"mean": metric["mean"]} | {name: metric["percentiles"][name] for name in _PERCENTILES[1:]}
    figures["p50"] = metric["median"]
    return {name: value / per_second for name, value in figures.items()}


def _guidellm_arrival(strategy: Told) -> dict[str, Any] | None:
    kind = strategy.get("type_")
    if kind in ("constant", "poisson"):
        return {"process": kind, "rate": f"{float(strategy['rate'])}/s"}
    if kind == "synchronous":
        return {"process": "closed_loop", "users": 1}
    if kind == "concurrent" and strategy.get("streams"):
        return {"process": "closed_loop", "users": strategy["streams"]}
    return None


def _injection(arrival: dict[str, Any] | None, prompt: float, output: float) -> dict[str, Any]:
    """Return the traffic as far as it is told; 0 tokens: nothing is."""
    lengths = {
        name: {"distribution": "fixed", "tokens": max(1, round(mean))}
        for name, mean in (("prompt_tokens", prompt), ("output_tokens", output))
        if mean
    }
    return ({"arrival": arrival} if arrival else {}) | lengths
