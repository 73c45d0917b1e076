"""What the metrics of a live service say of the last seconds, as a sight shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from enova.core.control.sight import Moment
from enova.core.ledger.histogram import Histogram
from enova.core.metrics.vitals import ReplicaVitals, Vitals
from enova.core.observed import Unknown
from enova.core.simulate.results import Metric


@dataclass(frozen=True, slots=True)
class Lately:
    """What is known of a service now. It reaches back a quarter of an hour, and says of longer times the same."""

    vitals: Vitals
    histogram: Callable[[str, float], Histogram | None]
    """What came into the histogram of a latency of all replicas, by its name, in so many seconds."""
    targets_s: Mapping[Metric, float]
    """What each single request is judged by."""

    def arrived(self, over_s: float) -> float | None:
        """Return how many requests came to the gateway, at the rate of its last two samples."""
        rate = self.vitals.arrived_per_s
        seen = not isinstance(self.vitals.gateway_seen_s, Unknown)
        return rate * over_s if seen and not isinstance(rate, Unknown) else None

    def finished(self, over_s: float) -> float | None:
        """Return how many requests were answered, at the rate of a minute; None if a replica was not seen."""
        rates = [one.finished_per_s for one in self.vitals.replicas.values()]
        known = [rate for rate in rates if not isinstance(rate, Unknown)]
        return sum(known) * over_s if known and len(known) == len(rates) else None

    def met(self, over_s: float) -> tuple[float, float] | None:
        """Return how many answers met every target, and all. Which missed two is not known: each miss counts.

        Gaps between tokens are not counted by answer, so they judge none.
        """
        targets_s = {metric: target_s for metric, target_s in self.targets_s.items() if metric is not Metric.ITL}
        judged = [
            (found, target_s)
            for metric, target_s in targets_s.items()
            if (found := self.histogram(metric, over_s)) is not None
        ]
        if not judged or len(judged) < len(targets_s):
            return None
        count = max(found.count for found, _ in judged)
        missed = sum(found.count - found.within(target_s) for found, target_s in judged)
        return max(0.0, count - missed), count

    def latency_s(self, metric: Metric, share: float, over_s: float) -> float | None:
        """Return the seconds that this share of the answers did not exceed."""
        found = self.histogram(metric, over_s)
        return found.quantile(share).value if found is not None and found.count > 0 else None

    def moments(self, _over_s: float) -> Sequence[Moment]:
        """Return the last look at all replicas, if all were seen."""
        replicas = list(self.vitals.replicas.values())
        if not replicas or not all(one.seen for one in replicas):
            return ()
        running, waiting, use = (_sum(replicas, name) for name in ("running", "waiting", "kv_use"))
        return (Moment(self.vitals.at_s, len(replicas), running + waiting, running, waiting, use / len(replicas)),)


def _sum(replicas: Sequence[ReplicaVitals], name: str) -> float:
    values = (getattr(one, name) for one in replicas)
    return float(sum(value for value in values if not isinstance(value, Unknown)))
