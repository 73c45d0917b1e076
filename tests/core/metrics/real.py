"""Texts of metrics pages as real programs gave them, and as releases that are not at hand would give them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

DATA = Path(__file__).parents[2] / "data"
PAGES = ("vllm_metrics_0.32.txt", "vllm_metrics_0.32_loaded.txt")
RELEASES: dict[str, dict[str, str]] = json.loads((DATA / "vllm_metric_names.json").read_text())["releases"]


def real(name: str) -> str:
    folder = Path(os.environ.get("ENOVA_SHARED", Path(__file__).parents[4] / "shared"))
    assert folder.is_dir(), f"{folder} is missing: set ENOVA_SHARED"
    return (folder / "reference" / name).read_text(encoding="utf-8")


def gateway_page() -> str:
    """Return what vllm-router 0.1.17 said after 3 answers, one request that failed thrice, and one nobody took."""
    return (DATA / "vllm_router_metrics_0.1.17.txt").read_text(encoding="utf-8")


def page_of(release: str) -> str:
    """Return the page of a release after one request: its names and kinds, written by the library it uses."""
    registry = CollectorRegistry()
    for name, kind in RELEASES[release].items():
        labels = {"model_name": "m"} | ({"engine": "0"} if release > "0.8" else {})
        if kind == "counter":
            Counter(name, "-", list(labels), registry=registry).labels(**labels).inc(3)
        elif kind == "gauge":
            Gauge(name, "-", list(labels), registry=registry).labels(**labels).set(0.5)
        else:
            Histogram(name, "-", list(labels), registry=registry).labels(**labels).observe(0.25)
    return generate_latest(registry).decode()


def older(release: str, than: str) -> bool:
    return _parts(release) < _parts(than)


def _parts(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))
