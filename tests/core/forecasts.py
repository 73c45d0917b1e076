"""Forecasts that tests start from."""

from __future__ import annotations

from typing import Any

from enova.core.engine.step_time import Origin
from enova.core.forecast import Expected, Forecast
from enova.core.simulate.promises import Promise, Verdict
from enova.core.simulate.results import Band, Figure, Metric


def figure(value: float, low: float = 0.8, high: float = 1.25) -> Figure:
    """Return a figure with a band of so many times its value."""
    return Figure(value, Band(round(value * low, 9), round(value * high, 9)))


def forecast(**changes: Any) -> Forecast:
    """Return a forecast for two replicas at 10 requests/s, of 100 tokens each."""
    ttft = figure(0.2)
    values: dict[str, Any] = {
        "origin": Origin.ROOFLINE,
        "gpu": "h100-sxm",
        "gpus": 2,
        "replicas": 2,
        "figures": {
            "e2e.mean": figure(2.0),
            "output_tokens_per_s": figure(1000.0),
            "requests_per_s": figure(10.0),
            "tpot.mean": figure(0.02),
            "ttft.mean": figure(0.1),
            "ttft.p95": ttft,
        },
        "expected": (Expected(promise=Promise(Metric.TTFT, "p95", 0.5), figure=ttft, verdict=Verdict.KEPT),),
        "utilisation": 0.6,
        "kv_use": 0.3,
        "usd_per_h": 5.98,
        "usd_per_million_tokens": 1.6611,
    }
    return Forecast(**(values | changes))
