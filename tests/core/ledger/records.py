"""Records that tests start from: a forecast in force since 1000, and a measurement that meets it."""

from __future__ import annotations

from typing import Any

from enova.core.ledger.records import Applied, Measured, Measurement
from tests.core.forecasts import forecast

SERVICE = "chat"
FINGERPRINT = "v1:0123456789abcdef"


def applied(**changes: Any) -> Applied:
    """Return a forecast that was applied."""
    values: dict[str, Any] = {
        "at_s": 1000.0,
        "service": SERVICE,
        "fingerprint": FINGERPRINT,
        "forecast": forecast(),
        "rate": 10.0,
    }
    return Applied(**(values | changes))


def measurement(**changes: Any) -> Measurement:
    """Return a minute of the traffic that was forecast. `figures` may be plain numbers, which are exact."""
    values: dict[str, Any] = {
        "service": SERVICE,
        "fingerprint": FINGERPRINT,
        "began_s": 2000.0,
        "ended_s": 2060.0,
        "source": "metrics",
        "requests": 600,
        "rate": 10.0,
        "replicas": 2,
        "output_tokens": 100.0,
        "figures": {"ttft.mean": 0.1},
    } | changes
    figures = {
        name: figure if isinstance(figure, Measured) else Measured.exactly(figure)
        for name, figure in values["figures"].items()
    }
    return Measurement(**(values | {"figures": figures}))
