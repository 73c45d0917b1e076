"""An injection report as a measurement."""

from __future__ import annotations

from enova.core.ledger.records import Measured, Measurement
from enova.core.workload.arrivals import mean_rate
from enova.core.workload.report import REPORTED, InjectionReport


def measurement_in(report: InjectionReport, *, service: str, ended_s: float, source: str) -> Measurement:
    """Return what a run of load found. A report does not say when it was, nor which settings the replicas had.

    Its rate is that of the traffic that was sent, as the forecast's is; replays and users who wait for their
    answers have none.
    """
    found, arrival = report.found, report.sent.injection.arrival
    figures = {
        f"{metric}.{statistic}": value
        for metric in REPORTED
        for statistic, value in getattr(found, metric).model_dump(exclude_none=True).items()
    }
    if found.requests_per_s is not None:
        figures["requests_per_s"] = found.requests_per_s
    return Measurement(
        service=service,
        fingerprint="",
        began_s=ended_s - found.duration_s,
        ended_s=ended_s,
        source=source,
        requests=found.served,
        rate=None if arrival is None else mean_rate(arrival),
        replicas=report.tested.replicas,
        figures={name: Measured.exactly(value) for name, value in sorted(figures.items())},
    )
