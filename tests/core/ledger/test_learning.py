"""Bands learn from a service's own errors: as fast as is justified, and no faster."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest

from enova.core.engine.step_time import Origin
from enova.core.ledger.learning import ENOUGH, STRETCH_S, VAGUE, error_with
from enova.core.ledger.records import Measured
from enova.core.ledger.rows import Row
from enova.core.simulate.results import NO_ERROR, NO_MODEL_ERROR, Factors, ModelError
from tests.core.forecasts import figure

PACKAGED = Factors(0.7, 1.4)
BASE = ModelError({(Origin.ROOFLINE, "ttft"): PACKAGED})


def row(measured: float | Measured, at: float = 0.0, **changes: Any) -> Row:
    """Return a row that was predicted to be 1, in the stretch of time with number `at`."""
    values: dict[str, Any] = {
        "service": "chat",
        "fingerprint": "v1:a",
        "origin": Origin.ROOFLINE,
        "began_s": at * STRETCH_S,
        "ended_s": at * STRETCH_S + 60,
        "source": "metrics",
        "requests": 600,
        "metric": "ttft.p95",
        "predicted": figure(1.0),
        "measured": measured if isinstance(measured, Measured) else Measured.exactly(measured),
        "emulated": False,
        "doubt": "",
    }
    return Row(**(values | changes))


def rows(ratios: Iterable[float], **changes: Any) -> list[Row]:
    return [row(ratio, at, **changes) for at, ratio in enumerate(ratios)]


def learnt(found: Sequence[Row], base: ModelError = BASE, metric: str = "ttft", statistic: str = "p95") -> Factors:
    return error_with(found, base).of(Origin.ROOFLINE, metric, statistic)


def width(factors: Factors) -> float:
    return math.log(factors.high / factors.low)


def test_before_there_are_enough_the_packaged_factors_stay() -> None:
    assert learnt(rows([1.0] * (ENOUGH - 1))) == PACKAGED
    assert learnt(rows([1.0] * ENOUGH)) != PACKAGED


def test_a_statistic_learns_for_itself_and_the_others_keep_the_packaged_factors() -> None:
    error = error_with(rows([1.1] * 20), BASE)

    assert error.of(Origin.ROOFLINE, "ttft", "p95") != PACKAGED
    assert error.of(Origin.ROOFLINE, "ttft", "p99") == PACKAGED
    assert error.of(Origin.CALIBRATED, "ttft", "p95") == NO_ERROR


def test_many_that_agree_narrow_the_band_and_few_hardly_do() -> None:
    few, many, most = (width(learnt(rows([1.0] * count))) for count in (ENOUGH, 40, 400))

    assert 0.4 * width(PACKAGED) < few < width(PACKAGED)
    assert few > many > most


def test_a_service_that_is_off_gets_a_band_that_reaches_there() -> None:
    factors = learnt(rows([1.8, 2.0, 2.2] * 10))

    assert factors.high > 2.2
    assert factors.low == 1.0


def test_a_band_always_holds_its_figure() -> None:
    assert learnt(rows([0.5] * 100)).high == 1.0


def test_measurements_that_disagree_widen_the_band() -> None:
    assert width(learnt(rows([0.4, 1.0, 2.5] * 5))) > width(PACKAGED)


def test_many_looks_in_a_few_minutes_are_one_observation() -> None:
    assert learnt([row(1.0, at=n / 100) for n in range(90)]) == PACKAGED


@pytest.mark.parametrize(
    "changes",
    [{"doubt": "other traffic"}, {"emulated": True}, {"metric": "requests_per_s"}, {"metric": "goodput.share"}],
    ids=lambda changes: next(iter(changes.values())),
)
def test_what_says_nothing_about_the_model_teaches_nothing(changes: dict[str, Any]) -> None:
    assert error_with(rows([1.5] * 50, **changes), BASE) == BASE


def test_of_a_model_nothing_is_known_of_little_is_assumed() -> None:
    factors = learnt(rows([1.0] * ENOUGH), NO_MODEL_ERROR)

    assert 0.4 * width(VAGUE) < width(factors) < width(VAGUE)


def test_what_is_known_to_its_bucket_only_never_gets_narrower_than_that() -> None:
    bucket = Measured(1.3, 0.7, 1.4)
    factors = learnt([row(bucket, at) for at in range(400)])

    assert factors.low <= bucket.low
    assert bucket.high <= factors.high


@pytest.mark.parametrize("count", [ENOUGH, 15, 40])
@pytest.mark.parametrize(("bias", "spread"), [(0.0, 0.02), (0.0, 0.1), (0.2, 0.05), (-0.3, 0.1), (0.5, 0.2)])
def test_the_next_measurement_is_in_the_band_as_often_as_it_says(count: int, bias: float, spread: float) -> None:
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(400):
        *past, following = np.exp(rng.normal(bias, spread, count + 1))
        factors = learnt(rows(past))
        inside.append(factors.low <= following <= factors.high)

    assert np.mean(inside) >= 0.87
