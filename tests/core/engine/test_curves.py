"""Measured efficiencies, read off between the points where they were measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from enova.adapters.curves import measured_curves
from enova.core.engine.curves import Grid
from enova.core.engine.numbers import Numbers

GRID = Grid(rows=(1, 4), sides=(128, 512), log_ratios=tuple(math.log(value) for value in (1, 2, 3, 4, 5, 6, 7, 8)))


def ratio(grid: Grid, m: float, n: float, k: float) -> float:
    return float(grid.ratios(np.array([m], dtype=float), n, k)[0])


def test_on_a_point_the_ratio_is_the_measured_one() -> None:
    assert ratio(GRID, 1, 128, 512) == pytest.approx(2)
    assert ratio(GRID, 4, 512, 128) == pytest.approx(7)


def test_between_points_the_ratio_is_their_geometric_mean() -> None:
    assert ratio(GRID, 2, 128, 128) == pytest.approx(math.sqrt(1 * 5))
    assert ratio(GRID, 1, 256, 512) == pytest.approx(math.sqrt(2 * 4))


def test_outside_the_grid_its_edge_holds() -> None:
    assert ratio(GRID, 1000, 1, 10**6) == pytest.approx(ratio(GRID, 4, 128, 512))


@pytest.mark.parametrize("name", ["a100_sxm", "h100_sxm", "h200_sxm", "b200_sxm", "l40s"])
def test_large_products_are_slower_than_ideal_but_not_by_much(name: str) -> None:
    measured = measured_curves().efficiency[name].gemm[Numbers.BF16]

    assert 1.0 < ratio(measured, 4096, 8192, 8192) < 2.0


def test_families_without_coefficients_of_their_own_have_those_of_any() -> None:
    curves = measured_curves()

    assert curves.coefficients_for("ampere") == curves.coefficients["any"]
    assert curves.coefficients_for("hopper") == curves.coefficients["hopper"]
