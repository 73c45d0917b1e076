"""Promises of the spec are judged by figures and by the bands around them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from enova.core.engine.step_time import Origin
from enova.core.simulate.collector import Collector
from enova.core.simulate.promises import (
    Promise,
    Verdict,
    availability_verdict,
    promises_of,
    targets_of,
    verdict_of,
)
from enova.core.simulate.results import Factors, Metric, ModelError, Results
from enova.core.simulate.summary import Work, results_of
from enova.core.spec import Slo
from tests.core.simulate.test_collector import served


def results(requests: int = 100, *, refused: int = 0) -> Results:
    """Return results with a TTFT of 0.3 s for all but some, and a model that may be off by a factor of 2."""
    collector = Collector(error=ModelError({(Origin.ROOFLINE, "ttft"): Factors(0.5, 2.0)}))
    for number in range(requests - refused):
        collector.served(served(number, number / 10))
    for number in range(requests - refused, requests):
        collector.rejected(served(number, number / 10).request, "too long")
    return results_of(collector, Work(1.0, 1.0, 0))


def test_every_percentile_of_every_latency_is_a_promise() -> None:
    slo: dict[str, Any] = {"ttft": {"p50": "100ms", "p95": "500ms"}, "e2e": {"p99_9": "1m"}, "availability": "99%"}

    assert promises_of(Slo.model_validate(slo)) == (
        Promise(Metric.TTFT, "p50", 0.1),
        Promise(Metric.TTFT, "p95", 0.5),
        Promise(Metric.E2E, "p99_9", 60.0),
    )


def test_a_single_request_is_judged_by_the_loosest_target() -> None:
    promises = [
        Promise(Metric.TTFT, "p50", 0.1),
        Promise(Metric.TTFT, "p95", 0.5),
        Promise(Metric.TPOT, "p99", 0.05),
    ]

    assert targets_of(promises) == {Metric.TTFT: 0.5, Metric.TPOT: 0.05}


@pytest.mark.parametrize(
    ("target_s", "verdict"),
    [(0.7, Verdict.KEPT), (0.4, Verdict.LIKELY), (0.2, Verdict.UNLIKELY), (0.1, Verdict.BROKEN)],
)
def test_a_verdict_goes_by_the_figure_and_its_band(target_s: float, verdict: Verdict) -> None:
    assert verdict_of(results(), Promise(Metric.TTFT, "p95", target_s)) is verdict


@pytest.mark.parametrize(
    ("target", "verdict"),
    [(0.8, Verdict.KEPT), (0.9, Verdict.LIKELY), (0.92, Verdict.UNLIKELY), (0.999, Verdict.BROKEN)],
)
def test_availability_is_the_share_answered_and_judged_with_its_noise(target: float, verdict: Verdict) -> None:
    found = results(refused=10)

    assert found.availability.value == pytest.approx(0.9)
    assert found.availability.band[:2] == pytest.approx((0.8507, 0.9493), abs=1e-4)
    assert availability_verdict(found, target) is verdict


def test_where_all_is_answered_every_availability_is_kept() -> None:
    found = results()

    assert found.availability.value == 1.0
    assert availability_verdict(found, 1.0) is Verdict.KEPT


def test_nobody_who_asks_is_no_availability_kept() -> None:
    nothing = results(0)

    assert math.isnan(nothing.availability.value)
    assert availability_verdict(nothing, 0.5) is Verdict.BROKEN


def test_nothing_served_is_no_promise_kept() -> None:
    nothing = results(0)

    assert math.isnan(nothing.of("ttft", "p95").value)
    assert verdict_of(nothing, Promise(Metric.TTFT, "p95", 1.0)) is Verdict.BROKEN
