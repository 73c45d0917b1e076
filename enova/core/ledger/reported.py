"""An injection report as a measurement."""

from __future__ import annotations

from enova.core.ledger.records import Measured, Measurement
from enova.core.workload.arrivals import mean_rate
from enova.core.workload.report import REPORTED, InjectionReport


def measurement_in(report: InjectionReport, *, service: str, ended_s: float, source: str) -> Measurement:
    """Return what a run of load found. A report does not say which settings the replicas had.

    Its rate is that of the traffic that was sent, as the forecast's is; replays and users who wait for their
    answers have none.
    """
    found, arrival = report.found, report.sent.injection.arrival
    # As a forecast counts them, where that is known.
    seen = found.seen
    figures = {
        f"{metric}.{statistic}": value
        for metric in REPORTED
        for statistic, value in getattr(seen, metric).figures().items()
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
        # What a client that was the limit sent is not the traffic it was to be.
        rate=None if arrival is None or not report.valid else mean_rate(arrival),
        replicas=None if report.tested is None else report.tested.replicas,
        output_tokens=_output_tokens(report),
        emulated=report.asked is not None and report.asked.emulated,
        figures={name: Measured.exactly(value) for name, value in sorted(figures.items())},
    )


def _output_tokens(report: InjectionReport) -> float | None:
    """Return the mean of a request, as far as the server counted them."""
    delivery, found = report.sent.delivery, report.found
    if delivery is None or not delivery.output_tokens[0]:
        return None
    rates = found.output_tokens_per_s, found.requests_per_s
    return rates[0] / rates[1] if rates[0] is not None and rates[1] else None
