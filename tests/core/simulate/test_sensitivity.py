"""Bands of a forecast hold what the error of the step times does to this very load."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from enova.core.engine.scaled import Scaled
from enova.core.engine.step_time import Origin
from enova.core.simulate.capacity import capacity_of, sweep_of
from enova.core.simulate.forecast import Conditions, run_of
from enova.core.simulate.promises import Promise
from enova.core.simulate.results import STATISTICS, Factors, Figure, Metric, ModelError, Results
from enova.core.simulate.sensitivity import others_of
from enova.core.workload.load import Load
from tests.core.simulate.step_times import Affine
from tests.core.simulate.test_capacity import EIGHT_AT_A_TIME, FIXED
from tests.core.simulate.test_forecast import load

SLOW, FAST = 1.25, 0.8
ERROR = ModelError(
    {
        (Origin.ROOFLINE, "ttft"): Factors(0.7, 1.4),
        (Origin.ROOFLINE, "tpot"): Factors(FAST, SLOW),
        (Origin.ROOFLINE, "e2e"): Factors(0.8, 1.2),
    }
)
TARGET_S = 0.2
CONDITIONS = Conditions(requests=1200, promises=(Promise(Metric.TTFT, "p95", TARGET_S),), error=ERROR)
QUIET, NEAR_CAPACITY = "1/s", "7/s"
"""Of the 8 a second that the replica can take."""
CLASSES = [
    {"name": name, "weight": 1, "prompt_tokens": FIXED, "output_tokens": FIXED | {"tokens": tokens}}
    for name, tokens in (("short", 40), ("long", 60))
]


def at(rate: str, **keys: Any) -> Load:
    arrival = {"process": "poisson", "rate": rate}
    defaults: dict[str, Any] = {"arrival": arrival, "output_tokens": FIXED}
    return load(**(defaults | keys))


@cache
def found(rate: str, *, sensitivity: bool) -> Results:
    return run_of([EIGHT_AT_A_TIME], at(rate), replace(CONDITIONS, sensitivity=sensitivity))


def figures(results: Results) -> list[Figure]:
    assert results.goodput is not None
    latencies = [results.of(metric, statistic) for metric in Metric for statistic in STATISTICS]
    rates = [results.requests_per_s, results.prompt_tokens_per_s, results.output_tokens_per_s]
    return [*latencies, *rates, results.goodput.share, results.goodput.per_s]


def test_close_to_capacity_bands_reach_what_longer_and_shorter_steps_give() -> None:
    narrow, wide = (found(NEAR_CAPACITY, sensitivity=asked).of("ttft", "p95") for asked in (False, True))
    slow, fast = (
        run_of(
            [replace(EIGHT_AT_A_TIME, step_time=Scaled(Affine(base_s=0.02), factor))],
            at(NEAR_CAPACITY),
            CONDITIONS,
        )
        for factor in (SLOW, FAST)
    )

    assert narrow.band.high < 2 * narrow.value
    assert wide.band.high >= slow.of("ttft", "p95").value > 5 * wide.value
    assert wide.band.low <= fast.of("ttft", "p95").value < wide.value


@pytest.mark.parametrize("rate", ["5/s", NEAR_CAPACITY])
def test_bands_hold_nine_in_ten_of_what_may_be_the_truth(rate: str) -> None:
    """The truth: other steps, as often off by so much as the error says, and other dice."""
    factors = np.exp(np.random.default_rng(0).standard_normal(40) * math.log(SLOW) / 1.645).tolist()
    held: dict[tuple[str, bool], list[bool]] = {}
    for seed, factor in enumerate(factors):
        scaled = replace(EIGHT_AT_A_TIME, step_time=Scaled(EIGHT_AT_A_TIME.step_time, factor))
        truth = run_of([scaled], at(rate, seed=100 + seed), Conditions(requests=1200))
        for metric, statistic in (("ttft", "p95"), ("tpot", "p50"), ("e2e", "p95")):
            value = truth.of(metric, statistic).value
            for asked in (False, True):
                band = found(rate, sensitivity=asked).of(metric, statistic).band
                held.setdefault((metric, asked), []).append(band.low <= value <= band.high)

    shares = {
        asked: [np.mean(held[metric, asked]) for metric in ("ttft", "tpot", "e2e")] for asked in (False, True)
    }
    assert min(shares[True]) >= 0.85
    assert np.mean(shares[True]) >= 0.9
    assert min(shares[False]) < 0.7


def test_far_from_capacity_the_error_measured_elsewhere_is_all_there_is() -> None:
    narrow, wide = (found(QUIET, sensitivity=asked).of("ttft", "p50") for asked in (False, True))

    assert wide.band == pytest.approx(narrow.band)


@pytest.mark.parametrize("rate", [QUIET, NEAR_CAPACITY, "12/s"])
def test_no_figure_changes_and_no_band_gets_narrower(rate: str) -> None:
    before, after = (figures(found(rate, sensitivity=asked)) for asked in (False, True))

    assert [figure.value for figure in after] == [figure.value for figure in before]
    for narrow, wide in zip(before, after, strict=True):
        assert wide.band.low <= narrow.band.low
        assert wide.band.high >= narrow.band.high


def test_goodput_may_be_what_it_is_with_longer_steps() -> None:
    narrow, wide = (found(NEAR_CAPACITY, sensitivity=asked).goodput for asked in (False, True))

    assert narrow is not None
    assert wide is not None
    assert wide.share.band.low < 0.2 < narrow.share.band.low
    assert wide.share.band.high > 0.8 > narrow.share.band.high


def test_each_class_has_the_band_of_its_own_requests() -> None:
    mixed = at(NEAR_CAPACITY, classes=CLASSES, prompt_tokens=None, output_tokens=None)
    results = run_of([EIGHT_AT_A_TIME], mixed, replace(CONDITIONS, sensitivity=True))

    for kind in results.classes.values():
        ttft = kind.latencies[Metric.TTFT].p95
        assert ttft.band.high > 5 * ttft.value


def test_a_fleet_whose_error_is_not_known_has_no_others() -> None:
    known = Affine(origin=Origin.CALIBRATED)
    mixed = [EIGHT_AT_A_TIME, replace(EIGHT_AT_A_TIME, step_time=known)]

    assert others_of(mixed[1:], ERROR) == []
    assert [[replica.step_time for replica in fleet] for fleet in others_of(mixed, ERROR)] == [
        [Scaled(Affine(base_s=0.02), factor), Scaled(known, 1.0)] for factor in (FAST, SLOW)
    ]


def test_users_who_wait_see_what_was_measured_of_such_users() -> None:
    closed = load(arrival={"process": "closed_loop", "users": 5})
    plain, asked = (
        run_of([EIGHT_AT_A_TIME], closed, replace(CONDITIONS, requests=200, sensitivity=asked))
        for asked in (False, True)
    )

    assert figures(asked) == figures(plain)


def test_users_who_wait_see_what_any_draw_of_the_step_times_gives() -> None:
    closed = load(arrival={"process": "closed_loop", "users": 5})
    draws = Affine(base_s=0.01), Affine(base_s=0.03)
    drawn = replace(EIGHT_AT_A_TIME, draws=draws)
    tpot = run_of([drawn], closed, Conditions(requests=200, sensitivity=True)).of("tpot", "p50")

    assert tpot.value == pytest.approx(0.02)
    assert tpot.band[:2] == pytest.approx((0.01, 0.03), rel=0.02)


def test_each_draw_is_a_fleet_in_which_others_stay_as_they_are() -> None:
    draws = Affine(base_s=0.01), Affine(base_s=0.03)
    fleets = others_of([replace(EIGHT_AT_A_TIME, draws=draws), EIGHT_AT_A_TIME], ModelError())

    assert [[replica.step_time for replica in fleet] for fleet in fleets] == [
        [draw, Affine(base_s=0.02)] for draw in draws
    ]


def test_capacity_reaches_from_that_of_longer_steps_to_that_of_shorter_ones() -> None:
    sure = replace(CONDITIONS, error=ModelError({(Origin.ROOFLINE, "tpot"): Factors(FAST, SLOW)}))
    narrow, wide = (
        capacity_of([EIGHT_AT_A_TIME], at(QUIET), replace(sure, requests=800, sensitivity=asked)).rate
        for asked in (False, True)
    )

    assert wide.value == narrow.value
    assert wide.band.low < min(narrow.band.low, wide.value / SLOW)
    assert wide.band.high > max(narrow.band.high, wide.value / FAST)


def test_what_can_be_served_at_all_goes_with_the_steps() -> None:
    conditions = replace(CONDITIONS, requests=400, promises=(), sensitivity=True)
    rate = capacity_of([EIGHT_AT_A_TIME], at(QUIET), conditions).rate

    assert rate.band[:2] == pytest.approx((rate.value / SLOW, rate.value / FAST), rel=0.02)


def test_every_rate_of_a_sweep_has_the_band_of_its_own() -> None:
    conditions = replace(CONDITIONS, requests=600, sensitivity=True)
    (_, quiet), (_, busy) = sweep_of([EIGHT_AT_A_TIME], at(QUIET), conditions, [1.0, 7.0])
    widths = [figure.band.high / figure.value for figure in (run.of("ttft", "p95") for run in (quiet, busy))]

    assert widths[0] < 2 < 5 < widths[1]
