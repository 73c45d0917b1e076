"""A forecast for programs: times in seconds, figures as `{value, low, high}`, null where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from enova.core.simulate.capacity import Capacity
from enova.core.simulate.promises import availability_verdict, verdict_of
from enova.core.simulate.results import STATISTICS, Figure, Goodput, Latency, Metric, Results, Series
from enova.render.forecast import Forecast
from enova.render.traffic import traffic_words

SCHEMA_VERSION = 1


def forecasts_as_json(forecasts: Sequence[Forecast]) -> dict[str, Any]:
    """Return `{schema_version, forecasts: [{service, model, gpu, results: {…}, promises: […], …}]}`."""
    return {"schema_version": SCHEMA_VERSION, "forecasts": [_forecast(forecast) for forecast in forecasts]}


def _forecast(forecast: Forecast) -> dict[str, Any]:
    setup, results, availability = forecast.setup, forecast.results, forecast.conditions.availability
    return {
        "service": forecast.service,
        "model": setup.model.name,
        "gpu": setup.gpu.name,
        "gpus_per_replica": setup.gpus,
        "replicas": forecast.replicas,
        "vllm": f"{setup.vllm[0]}.{setup.vllm[1]}",
        "traffic": traffic_words(forecast.load),
        "seed": forecast.load.seed,
        "results": _results(results) | {"series": _series(results.series)},
        "promises": [
            {
                "metric": promise.metric,
                "statistic": promise.statistic,
                "target_s": promise.target_s,
                "predicted_s": _figure(results.of(promise.metric, promise.statistic)),
                "verdict": verdict_of(results, promise),
            }
            for promise in forecast.conditions.promises
        ],
        "availability": None if availability is None else _availability(results, availability),
        "capacity": None if forecast.capacity is None else _capacity(forecast.capacity),
        "sweep": [{"rate": offered, "results": _results(swept)} for offered, swept in forecast.sweep],
        "notes": list(forecast.notes),
    }


def _results(results: Results) -> dict[str, Any]:
    return {
        "origin": results.origin,
        "band_level": results.requests_per_s.band.level,
        "warmup_s": results.warmup_s,
        "duration_s": results.duration_s,
        "served": results.served,
        "rejected": results.rejected,
        "lost": results.lost,
        "reasons": dict(results.reasons),
        "availability": _figure(results.availability),
        "latencies": _latencies(results.latencies),
        "requests_per_s": _figure(results.requests_per_s),
        "prompt_tokens_per_s": _figure(results.prompt_tokens_per_s),
        "output_tokens_per_s": _figure(results.output_tokens_per_s),
        "goodput": _goodput(results.goodput),
        "utilisation": results.utilisation,
        "cached_share": results.cached_share,
        "kv_use_mean": _number(results.kv_use_mean),
        "kv_use_highest": _number(results.kv_use_highest),
        "preemptions": results.preemptions,
        "classes": {
            name: {
                "served": kind.served,
                "rejected": kind.rejected,
                "latencies": _latencies(kind.latencies),
                "goodput": _goodput(kind.goodput),
            }
            for name, kind in results.classes.items()
        },
    }


def _latencies(latencies: Mapping[Metric, Latency]) -> dict[str, Any]:
    return {
        str(metric): {
            "count": latency.count,
            **{statistic: _figure(latency.of(statistic)) for statistic in STATISTICS},
            "highest": _number(latency.highest),
        }
        for metric, latency in latencies.items()
    }


def _goodput(goodput: Goodput | None) -> dict[str, Any] | None:
    return None if goodput is None else {"share": _figure(goodput.share), "per_s": _figure(goodput.per_s)}


def _availability(results: Results, target: float) -> dict[str, Any]:
    return {
        "target": target,
        "predicted": _figure(results.availability),
        "verdict": availability_verdict(results, target),
    }


def _capacity(capacity: Capacity) -> dict[str, Any]:
    return {
        "requests_per_s": _figure(capacity.rate),
        "saturated_requests_per_s": capacity.saturated,
        "first_broken": [f"{promise.metric}.{promise.statistic}" for promise in capacity.first_broken],
    }


def _series(series: Series | None) -> dict[str, Any] | None:
    if series is None:
        return None
    columns = ("running", "waiting", "kv_use", "replicas", "arrived", "served", "output_tokens")
    found = {name: [_number(value) for value in getattr(series, name).tolist()] for name in columns}
    return {"interval_s": series.interval_s} | found


def _figure(figure: Figure) -> dict[str, Any]:
    return {"value": _number(figure.value), "low": _number(figure.band.low), "high": _number(figure.band.high)}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
