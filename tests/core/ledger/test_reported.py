"""An injection report is a measurement of the traffic it sent."""

from __future__ import annotations

from typing import Any

import pytest

from enova.core.ledger.records import Measured, Measurement
from enova.core.ledger.reported import measurement_in
from tests.core.workload.reports import report


def measured(arrival: dict[str, Any] | None) -> Measurement:
    return measurement_in(report(arrival=arrival), service="chat", ended_s=2060.0, source="night")


def test_it_has_the_figures_that_were_reported() -> None:
    assert measured({"process": "poisson", "rate": "10/s"}) == Measurement(
        service="chat",
        fingerprint="",
        began_s=2000.0,
        ended_s=2060.0,
        source="night",
        requests=590,
        rate=10.0,
        replicas=2,
        figures={
            "e2e.p99": Measured.exactly(3.0),
            "requests_per_s": Measured.exactly(9.8),
            "ttft.mean": Measured.exactly(0.1),
            "ttft.p95": Measured.exactly(0.2),
        },
    )


@pytest.mark.parametrize("arrival", [None, {"process": "closed_loop", "users": 8}])
def test_traffic_without_a_rate_of_its_own_has_none(arrival: dict[str, Any] | None) -> None:
    assert measured(arrival).rate is None


def test_a_report_that_does_not_say_what_was_tested_has_no_replicas() -> None:
    untold = report().model_copy(update={"tested": None})

    assert measurement_in(untold, service="chat", ended_s=2060.0, source="night").replicas is None
