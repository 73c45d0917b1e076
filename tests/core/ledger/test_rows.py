"""A measurement stands beside the forecast that was in force; it counts if made under what was forecast."""

from __future__ import annotations

import math
from typing import Any

import pytest

from enova.core.ledger.records import Applied, Measured, Measurement
from enova.core.ledger.rows import Row, ledger_of, summaries_of
from enova.core.simulate.results import Band, Figure
from tests.core.forecasts import figure, forecast
from tests.core.ledger.records import applied, measurement


def row_of(measured: Measurement, *in_force: Applied) -> Row:
    ledger = ledger_of(in_force or (applied(),), [measured])
    assert len(ledger.rows) == 1
    return ledger.rows[0]


def only(value: float) -> Any:
    return forecast(figures={"ttft.mean": figure(value)})


def test_a_row_has_what_was_predicted_what_was_measured_and_the_error() -> None:
    row = row_of(measurement(figures={"ttft.mean": 0.08}))

    assert (row.metric, row.predicted, row.measured) == ("ttft.mean", figure(0.1), Measured.exactly(0.08))
    assert row.error == pytest.approx((0.25, 0.25))
    assert row.counts


def test_the_error_of_a_percentile_is_known_as_well_as_its_bucket() -> None:
    around = row_of(measurement(figures={"ttft.p95": Measured(0.2, 0.1, 0.25)}))
    above = row_of(measurement(figures={"ttft.p95": Measured(0.3, 0.25, 0.4)}))

    assert [*around.error, *around.size] == pytest.approx([-0.2, 1.0, 0.0, 1.0])
    assert [*above.error, *above.size] == pytest.approx([-0.5, -0.2, 0.2, 0.5])


def test_figures_that_one_side_lacks_make_no_row() -> None:
    ledger = ledger_of([applied()], [measurement(figures={"itl.mean": 0.02, "ttft.mean": 0.1, "ttft.p95": 0.2})])

    assert [row.metric for row in ledger.rows] == ["ttft.mean", "ttft.p95"]


def test_the_forecast_in_force_is_the_latest_that_was_applied_before() -> None:
    history = [applied(at_s=at_s, forecast=only(value)) for at_s, value in ((1, 0.1), (1999, 0.2), (2061, 0.3))]

    assert row_of(measurement(), *reversed(history)).predicted == figure(0.2)


def test_a_forecast_of_other_settings_is_not_about_what_was_measured() -> None:
    newer = applied(at_s=1500, fingerprint="v1:other", forecast=only(0.3))

    assert row_of(measurement(), applied(forecast=only(0.2)), newer).predicted == figure(0.2)


def test_where_nobody_knows_the_settings_it_is_the_latest_of_the_service() -> None:
    newer = applied(at_s=1500, fingerprint="v1:other", forecast=only(0.3))

    row = row_of(measurement(fingerprint=""), applied(), newer)

    assert (row.predicted, row.fingerprint) == (figure(0.3), "v1:other")


@pytest.mark.parametrize(
    "changes", [{"began_s": 999.0}, {"service": "other"}, {"fingerprint": "v1:other"}], ids=lambda c: next(iter(c))
)
def test_a_measurement_without_a_forecast_in_force_is_counted(changes: dict[str, Any]) -> None:
    ledger = ledger_of([applied()], [measurement(**changes)])

    assert (ledger.rows, ledger.unmatched) == ((), 1)


@pytest.mark.parametrize("rate", [10 / 1.19, 10.0, 11.9])
def test_traffic_within_a_fifth_of_the_forecasts_is_the_same(rate: float) -> None:
    assert row_of(measurement(rate=rate)).counts


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"rate": 8.0}, "other traffic: 8/s, 10/s was forecast"),
        ({"rate": 12.1}, "other traffic: 12.1/s, 10/s was forecast"),
        ({"rate": 0.0}, "other traffic: 0/s, 10/s was forecast"),
        ({"rate": None}, "whether the traffic is that of the forecast is not known"),
        ({"output_tokens": 50.0}, "other traffic: answers of 50 tokens, 100 were forecast"),
        ({"replicas": 1}, "other replicas: 1, 2 forecast"),
        ({"requests": 19}, "19 requests are too few"),
    ],
)
def test_a_measurement_under_other_conditions_is_shown_and_does_not_count(
    changes: dict[str, Any], doubt: str
) -> None:
    row = row_of(measurement(**changes))

    assert (row.doubt, row.counts) == (doubt, False)
    assert summaries_of([row]) == ()


def test_what_came_is_compared_so_that_an_overload_nobody_foresaw_is_an_error() -> None:
    row = row_of(measurement(rate=10.0, figures={"requests_per_s": 5.0}))

    assert row.counts
    assert row.error == pytest.approx((1.0, 1.0))


def test_while_all_that_comes_is_answered_rates_say_nothing_about_the_model() -> None:
    row = row_of(measurement(rate=10.5, figures={"requests_per_s": 10.4}))

    assert row.doubt == "all that came was answered"


def test_traffic_without_a_rate_of_its_own_cannot_be_compared() -> None:
    assert not row_of(measurement(), applied(rate=None)).counts


def test_a_forecast_that_was_replaced_meanwhile_is_not_held_to_what_was_measured() -> None:
    row = row_of(measurement(), applied(), applied(at_s=2030.0, fingerprint="v1:other"))

    assert row.doubt == "another forecast was applied meanwhile"


@pytest.mark.parametrize(("requests", "counts"), [(99, False), (100, True)])
def test_a_percentile_needs_five_requests_beyond_it(requests: int, counts: bool) -> None:
    assert row_of(measurement(requests=requests, figures={"ttft.p95": 0.2})).counts is counts


@pytest.mark.parametrize(
    ("low", "high", "counts"), [(0.1, 0.25, True), (0.1, 0.3, False), (0.0, 0.01, False), (0.1, math.inf, False)]
)
def test_a_percentile_counts_if_its_bucket_is_narrow(low: float, high: float, counts: bool) -> None:
    assert row_of(measurement(figures={"ttft.p95": Measured(low or 0.005, low, high)})).counts is counts


@pytest.mark.parametrize(
    ("low", "high", "in_band"),
    [
        (0.17, 0.24, True),
        (0.16, 0.25, True),
        (0.26, 0.5, False),
        (0.05, 0.15, False),
        (0.1, 0.25, None),
        (0.1, 0.5, None),
    ],
)
def test_a_bucket_is_in_the_band_out_of_it_or_nobody_knows(low: float, high: float, in_band: bool | None) -> None:
    row = row_of(measurement(figures={"ttft.p95": Measured(0.2, low, high)}))

    assert row.in_band is in_band


def test_a_figure_that_nobody_could_predict_makes_no_row() -> None:
    unknown = forecast(figures={"ttft.mean": Figure(math.nan, Band(math.nan, math.nan))})

    assert ledger_of([applied(forecast=unknown)], [measurement()]).rows == ()


def test_rows_are_in_the_order_of_time() -> None:
    ledger = ledger_of([applied()], [measurement(began_s=began_s) for began_s in (1800.0, 1200.0, 1500.0)])

    assert [row.began_s for row in ledger.rows] == [1200.0, 1500.0, 1800.0]


def test_a_summary_has_the_median_error_and_how_many_are_in_the_band() -> None:
    measured = [0.1, 0.08, 0.2, Measured(0.1, 0.07, 0.15)]
    ledger = ledger_of([applied()], [measurement(figures={"ttft.mean": value}) for value in measured])

    [summary] = summaries_of(ledger.rows)

    assert (summary.service, summary.metric, summary.count) == ("chat", "ttft.mean", 4)
    assert summary.error == pytest.approx((0.125, 0.3393), abs=1e-4)
    assert summary.bias == pytest.approx((-0.1667, 0.125), abs=1e-4)
    assert (summary.inside, summary.outside) == (2, 1)
