"""Bands are as wide as errors were, and are tried on what they have not seen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from enova.core.accuracy.band import ENOUGH, WIDER, factors_by_origin, factors_of, with_bands_of_others
from enova.core.accuracy.score import Comparison, score_of


def compared(ratio: float, *, model: str = "m", origin: str = "roofline") -> Comparison:
    return Comparison("lab", "a", "f:2", model, "g", "dense", "ttft_mean", "s", ratio, 1.0, origin)


def test_a_band_leaves_one_in_twenty_below_and_above_and_is_a_little_wider() -> None:
    factors = factors_of([compared(math.exp(ratio)) for ratio in np.linspace(-1, 1, 2001)])

    assert [math.log(end) for end in factors] == pytest.approx([-0.9 * WIDER, 0.9 * WIDER], abs=0.002)


def test_a_model_with_many_points_counts_no_more_than_one_with_few() -> None:
    many = [compared(1.0)] * 1000
    few = [compared(ratio, model="other") for ratio in (0.5, 2.0)]

    assert factors_of([*many, *few]).high > 1.5


def test_an_origin_with_few_comparisons_has_the_band_of_all() -> None:
    wide = [compared(ratio) for ratio in np.linspace(0.5, 1.5, 10 * ENOUGH)]
    narrow = [compared(1.0, origin="measured table")] * (ENOUGH - 1)

    factors = factors_by_origin([*wide, *narrow])

    assert factors["measured table", "ttft_mean"] != factors_of(narrow)
    assert factors["roofline", "ttft_mean"] == factors_of(wide)


def test_a_model_is_judged_by_the_errors_of_others_only() -> None:
    steady = [compared(ratio) for ratio in (0.9, 1.0, 1.1)] * 10
    wild = [compared(3.0, model="other")] * 5

    banded = with_bands_of_others([*steady, *wild], "model")

    assert {row.covered for row in banded if row.model == "other"} == {False}
    assert score_of(banded).coverage == 0.0


def test_there_is_no_band_without_others() -> None:
    assert with_bands_of_others([compared(1.0)], "model") == []
