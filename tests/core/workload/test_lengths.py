"""Lengths have the distributions the spec says, in whole tokens, at least one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from enova.core.spec.injection import Lengths
from enova.core.workload.lengths import drawn_from

LENGTHS: TypeAdapter[Lengths] = TypeAdapter(Lengths)


def drawn(count: int = 200_000, **lengths: Any) -> NDArray[np.int64]:
    return drawn_from(LENGTHS.validate_python(lengths))(np.random.default_rng(7), count)


@pytest.mark.parametrize(
    ("lengths", "mean", "std"),
    [
        ({"distribution": "fixed", "tokens": 512}, 512, 0),
        ({"distribution": "uniform", "min": 101, "max": 200}, 150.5, np.sqrt((100**2 - 1) / 12)),
        ({"distribution": "normal", "mean": 800, "std": 100}, 800, 100),
        ({"distribution": "lognormal", "mean": 512, "std": 700}, 512, 700),
        ({"distribution": "lognormal", "mean": 512, "std": 0}, 512, 0),
        ({"distribution": "empirical", "values": [100, 300], "weights": [3, 1]}, 150, np.sqrt(7500)),
        ({"distribution": "empirical", "values": [100, 300]}, 200, 100),
    ],
    ids=lambda value: value["distribution"] if isinstance(value, dict) else None,
)
def test_mean_and_deviation_are_those_of_the_lengths(lengths: dict[str, Any], mean: float, std: float) -> None:
    found = drawn(**lengths)

    assert found.dtype == np.int64
    assert found.mean() == pytest.approx(mean, rel=0.01)
    assert found.std() == pytest.approx(std, rel=0.02, abs=1e-9)


def test_a_lognormal_has_the_median_that_its_mean_and_deviation_imply() -> None:
    found = drawn(distribution="lognormal", mean=512, std=700)

    assert np.median(found) == pytest.approx(512 / np.sqrt(1 + (700 / 512) ** 2), rel=0.02)


def test_both_ends_of_a_uniform_occur() -> None:
    found, counts = np.unique(drawn(distribution="uniform", min=3, max=6), return_counts=True)

    assert found.tolist() == [3, 4, 5, 6]
    assert counts.tolist() == pytest.approx([50_000] * 4, rel=0.02)


@pytest.mark.parametrize("kind", ["normal", "lognormal"])
def test_lengths_are_cut_to_their_bounds_and_to_one_token(kind: str) -> None:
    bounded = drawn(distribution=kind, mean=100, std=300, min=20, max=200)
    unbounded = drawn(distribution=kind, mean=2, std=50)

    assert (bounded.min(), bounded.max()) == (20, 200)
    assert unbounded.min() == 1


@pytest.mark.parametrize(
    "lengths",
    [
        {"distribution": "uniform", "min": 1, "max": 1000},
        {"distribution": "normal", "mean": 800, "std": 100},
        {"distribution": "lognormal", "mean": 512, "std": 700},
        {"distribution": "empirical", "values": [1, 2, 3], "weights": [3, 1, 7]},
    ],
    ids=lambda value: str(value["distribution"]),
)
def test_drawing_in_pieces_is_drawing_at_once(lengths: dict[str, Any]) -> None:
    draw = drawn_from(LENGTHS.validate_python(lengths))
    at_once = draw(np.random.default_rng(1), 1000)
    rng = np.random.default_rng(1)

    assert np.concatenate((draw(rng, 400), draw(rng, 600))).tolist() == at_once.tolist()
