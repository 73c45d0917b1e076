"""The daemon's own metrics, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from enova.core.watch.report import Report
from enova.executor import Result
from enova.watch.scaler import Scaled


class Metrics:
    """What there is to say of the looks a daemon makes, and of what it does."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._looks = Counter("enova_watch_looks", "Looks made.", ["outcome"], registry=self.registry)
        self._took = Histogram(
            "enova_watch_look_seconds",
            "How long a look took.",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
            registry=self.registry,
        )
        self._last = Gauge(
            "enova_watch_last_look_timestamp_seconds", "When the last look was over.", registry=self.registry
        )
        self._leads = Gauge("enova_watch_leads", "1 if this daemon acts, 0 if it waits.", registry=self.registry)
        self._services = Gauge(
            "enova_watch_services", "Services, by what holds.", ["in_force"], registry=self.registry
        )
        self._busy = Gauge("enova_watch_services_busy", "Services that are being changed.", registry=self.registry)
        self._waiting = Gauge(
            "enova_watch_services_waiting",
            "Services that wait for another try.",
            registry=self.registry,
        )
        self._problems = Gauge("enova_watch_spec_problems", "Problems in the specs.", registry=self.registry)
        self._in_sync = Gauge("enova_watch_in_sync", "1 if all is as the specs say.", registry=self.registry)
        self._actions = Counter(
            "enova_watch_actions", "Actions carried out.", ["service", "verb", "outcome"], registry=self.registry
        )

        self._scaling = {
            name: Gauge(f"enova_scaling_{name}", words, ["service"], registry=self.registry)
            for name, words in (
                ("replicas", "Replicas that its autoscaler wants."),
                ("replicas_needed", "Replicas the traffic needs, without limits."),
                ("replicas_ready", "Replicas that serve."),
                ("expected_requests_per_second", "Traffic expected when a replica that is started now serves."),
                ("capacity_requests_per_second", "Traffic that the replicas there are take within the SLO."),
                ("arrived_requests_per_second", "Requests that came to the gateway, over the last minute."),
                ("slo_met_ratio", "Share of the answers of the last quarter of an hour that met the SLO."),
                ("held", "1 while nothing can be decided."),
            )
        }

    def scaled(self, services: Mapping[str, Scaled]) -> None:
        """Take in what the autoscalers see and decide. What is not known has no value."""
        for gauge in self._scaling.values():
            gauge.clear()
        for name, one in services.items():
            decision = one.decision
            values = {"held": float(bool(one.trouble)), "arrived_requests_per_second": one.arrived_per_s}
            if one.met is not None and one.met[1]:
                values["slo_met_ratio"] = one.met[0] / one.met[1]
            if decision is not None:
                values |= {
                    "replicas": decision.replicas,
                    "replicas_needed": decision.needed,
                    "replicas_ready": decision.ready,
                    "expected_requests_per_second": None if decision.rate is None else decision.rate.high,
                    "capacity_requests_per_second": decision.capacity,
                }
            for figure, value in values.items():
                if value is not None:
                    self._scaling[figure].labels(name).set(value)

    def leads(self, *, leads: bool) -> None:
        """Take in whether this daemon is the one that acts."""
        self._leads.set(leads)

    def looked(self, report: Report | None, took_s: float, at_s: float) -> None:
        """Take in one look; None: it failed. `at_s` is Unix time."""
        outcome = "failed" if report is None else "unseen" if report.unseen else "seen"
        self._looks.labels(outcome).inc()
        self._took.observe(took_s)
        if report is None:
            return
        self._last.set(at_s)
        self._problems.set(len(report.problems))
        self._in_sync.set(report.in_sync)
        self._busy.set(sum(bool(one.doing) for one in report.services.values()))
        self._waiting.set(sum(bool(one.waits) for one in report.services.values()))
        self._services.clear()
        for one in report.services.values():
            self._services.labels(one.in_force).inc()

    def ended(self, service: str, result: Result) -> None:
        """Take in what became of the actions of a service."""
        for action in result.done:
            self._actions.labels(service, action.verb, "done").inc()
        for outcome, ends in (("failed", result.failures), ("stopped", result.stopped)):
            for end in ends:
                self._actions.labels(service, end.action.verb, outcome).inc()
