"""What goes on in services, as Prometheus reads it. What is unknown has no sample, as it is not zero."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from enova.core.metrics.vitals import Quantiles
from enova.core.observed import Unknown
from enova.watch.live import Live


class VitalMetrics(Collector):
    """Worked out whenever somebody asks."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def describe(self) -> Iterator[Metric]:
        """Return the families without their samples, so that registering does not ask for any."""
        return iter(_families().values())

    def collect(self) -> Iterator[Metric]:
        """Return what is known now."""
        families = _families()
        for service in self._live.services():
            vitals = self._live.vitals(service)
            rates = {str(int(window_s)): rate for window_s, rate in vitals.arrived_over.items()}
            for window, rate in {"last": vitals.arrived_per_s, **rates}.items():
                if not isinstance(rate, Unknown):
                    families["arrivals"].add_metric([service, window], rate)
            seen = [one for one in vitals.replicas.values() if one.seen]
            families["replicas"].add_metric([service], len(vitals.replicas))
            families["seen"].add_metric([service], len(seen))
            ages = {f"{service}@gateway": vitals.gateway_seen_s}
            ages |= {name: one.seen_s for name, one in vitals.replicas.items()}
            for target, age_s in ages.items():
                if not isinstance(age_s, Unknown):
                    families["age"].add_metric([service, target], age_s)
            _latencies(families["ttft"], service, vitals.ttft)
            _latencies(families["tpot"], service, vitals.tpot)
        yield from families.values()


def _families() -> dict[str, GaugeMetricFamily]:
    def family(name: str, words: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"enova_service_{name}", words, labels=["service", *labels])

    return {
        "arrivals": family(
            "arrivals_per_second", "Requests that come to the gateway, by seconds of the window.", "window"
        ),
        "replicas": family("replicas", "Replicas that run and do not only start."),
        "seen": family("replicas_seen", "Those of which it is known what they do."),
        "age": family("sample_age_seconds", "Age of the last good sample.", "target"),
        "ttft": family("ttft_seconds", "Time to first token over five minutes.", "quantile"),
        "tpot": family("tpot_seconds", "Time per output token over five minutes.", "quantile"),
    }


def _latencies(family: GaugeMetricFamily, service: str, found: Quantiles | Unknown) -> None:
    if not isinstance(found, Unknown):
        for name, seconds in found.items():
            family.add_metric([service, name], seconds)
