"""The error that comes with Enova can be read, whatever it says."""

from __future__ import annotations

from enova.adapters.model_error import measured_error


def test_every_factor_leaves_less_below_than_above() -> None:
    for (_, metric), factors in measured_error().factors.items():
        assert metric.partition(".")[0] in ("ttft", "tpot", "itl", "e2e", "queue", "throughput")
        assert 0 < factors.low <= factors.high
