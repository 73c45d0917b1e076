"""A ledger as text and as JSON says no more than is known."""

from __future__ import annotations

import json
import math

from enova.core.ledger.records import Applied, Measured, Measurement
from enova.core.ledger.rows import Ledger, ledger_of
from enova.core.simulate.results import Band, Figure
from enova.render.ledger import ledger_json, ledger_text
from tests.core.forecasts import figure, forecast
from tests.core.ledger.records import applied, measurement


def lines(ledger: Ledger) -> list[list[str]]:
    return [[cell for cell in line.split("  ") if cell] for line in ledger_text(ledger).plain.splitlines()]


def one(measured: float | Measured, predicted: Figure, metric: str = "ttft.p95") -> Ledger:
    in_force: Applied = applied(forecast=forecast(figures={metric: predicted}))
    seen: Measurement = measurement(figures={metric: measured})
    return ledger_of([in_force], [seen])


def test_a_percentile_in_the_open_bucket_may_be_more() -> None:
    row = lines(one(Measured(20.0, 20.0, math.inf), figure(10.0)))[1]

    assert [cell.strip() for cell in row[4:]] == [
        "8,000 ms to 12.50 s",
        "20.00 s (20.00 s or more)",
        "-100.0% to -50.0%",
        "no",
        "does not count: its bucket is too wide",
    ]


def test_a_share_is_in_percent() -> None:
    row = lines(one(0.9, figure(0.95, 0.9, 1.05), metric="goodput.share"))[1]

    assert [cell.strip() for cell in row[3:6]] == ["95.0%", "85.5% to 99.8%", "90.0%"]


def test_ends_that_are_open_are_null_in_json() -> None:
    ledger = one(Measured(0.005, 0.0, 0.01), Figure(0.02, Band(0.01, math.inf)))

    [row] = json.loads(json.dumps(ledger_json(ledger), allow_nan=False))["rows"]

    assert row["predicted"] == {"value": 0.02, "low": 0.01, "high": None, "level": 0.9}
    assert row["error"] == {"low": 1.0, "high": None}


def test_no_rows_are_no_text() -> None:
    assert ledger_text(Ledger((), 0)).plain == ""


def test_measurements_that_met_no_forecast_are_counted() -> None:
    assert ledger_text(Ledger((), 2)).plain == "2 measurements met no forecast: none was in force\n"
