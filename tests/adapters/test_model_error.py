"""The error that comes with Enova can be read, and is what was measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from enova.adapters.model_error import measured_error
from enova.core.accuracy.band import factors_of
from enova.core.accuracy.score import Comparison
from enova.core.engine.step_time import Origin
from enova.core.simulate.results import Factors

CALIBRATION = Path(__file__).parents[2] / "docs" / "calibration.md"


def test_every_factor_leaves_less_below_than_above() -> None:
    for (_, metric), factors in measured_error().factors.items():
        assert metric.partition(".")[0] in ("ttft", "tpot", "itl", "e2e", "queue", "throughput")
        assert 0 < factors.low <= factors.high


@pytest.mark.parametrize("origin", Origin)
@pytest.mark.parametrize("metric", ["ttft", "tpot", "itl", "e2e", "queue", "throughput"])
def test_of_every_origin_the_error_is_known(origin: Origin, metric: str) -> None:
    low, high = measured_error().of(origin, metric)

    assert low < 1 < high


def test_calibrations_are_off_by_what_the_loads_of_their_page_were_off_by() -> None:
    """Rates of loads that are served in full say nothing; what a full engine serves goes with its steps."""
    rows = [re.findall(r"([\d.]+) > ([\d.]+)", line) for line in CALIBRATION.read_text("utf-8").splitlines()]
    ttft_p50, ttft_p95, tpot, e2e, _ = zip(*(row for row in rows if len(row) == 5), strict=True)
    steps = compared(tpot)
    expected = {
        **dict.fromkeys(("ttft", "queue"), compared(ttft_p50 + ttft_p95)),
        **dict.fromkeys(("tpot", "itl"), steps),
        "e2e": compared(e2e),
        "throughput": Factors(1 / steps.high, 1 / steps.low),
    }

    assert len(tpot) == 10
    for metric, factors in expected.items():
        assert measured_error().of(Origin.CALIBRATED, metric) == pytest.approx(factors, abs=1e-4), metric


def compared(pairs: tuple[tuple[str, str], ...]) -> Factors:
    """Return the factors of pairs of a measured and a predicted value."""
    some = Comparison("docs", "a", "f:1", "m", "g", "dense", "ttft", "s", 1.0, 1.0)
    return factors_of([some._replace(measured=float(seen), predicted=float(said)) for seen, said in pairs])
