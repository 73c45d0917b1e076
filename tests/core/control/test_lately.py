"""What live metrics say of the last seconds is what a sight asks for, and unknown where they do not say."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from enova.core.control.lately import Lately
from enova.core.ledger.histogram import Histogram
from enova.core.metrics.vitals import ReplicaVitals, Vitals, unseen_replica
from enova.core.observed import Unknown
from enova.core.simulate.results import Metric

DEAF = Unknown("no answer in time")
TTFT = Histogram((0.1, 0.2, math.inf), (4.0, 8.0, 10.0), 1.5)
GAPS = Histogram((0.01, 0.02, math.inf), (900.0, 950.0, 1000.0), 9.0)


def replica(running: float = 2.0, waiting: float = 1.0, finished_per_s: float = 3.0) -> ReplicaVitals:
    return ReplicaVitals(
        seen_s=1.0,
        running=running,
        waiting=waiting,
        kv_use=0.5,
        finished_per_s=finished_per_s,
        ttft=DEAF,
        tpot=DEAF,
    )


def lately(
    *replicas: ReplicaVitals,
    rate: float | Unknown = 4.0,
    gateway: float | Unknown = 1.0,
    found: Mapping[str, Histogram] | None = None,
    targets_s: Mapping[Metric, float] | None = None,
) -> Lately:
    vitals = Vitals(
        at_s=100.0,
        arrived_per_s=rate,
        arrived_over={60.0: rate},
        gateway_seen_s=gateway,
        replicas={f"chat#{place}": one for place, one in enumerate(replicas)},
        ttft=DEAF,
        tpot=DEAF,
    )
    histograms = found if found is not None else {"ttft": TTFT, "itl": GAPS}
    return Lately(vitals, lambda metric, _: histograms.get(metric), targets_s or {Metric.TTFT: 0.2})


def test_what_came_is_at_the_rate_of_the_last_samples() -> None:
    assert lately().arrived(5.0) == 20.0


@pytest.mark.parametrize(("rate", "gateway"), [(DEAF, 1.0), (4.0, DEAF)])
def test_a_gateway_that_is_not_seen_tells_nothing(rate: float | Unknown, gateway: float | Unknown) -> None:
    assert lately(rate=rate, gateway=gateway).arrived(5.0) is None


def test_replicas_are_added_up_only_if_all_are_seen() -> None:
    both = lately(replica(), replica(finished_per_s=1.0))
    half = lately(replica(), unseen_replica(DEAF, DEAF))

    assert both.finished(10.0) == 40.0
    (moment,) = both.moments(60.0)
    assert (moment.ready, moment.in_flight, moment.running, moment.waiting, moment.kv_use) == (
        2,
        6.0,
        4.0,
        2.0,
        0.5,
    )
    assert half.finished(10.0) is None
    assert half.moments(60.0) == ()
    assert lately().moments(60.0) == ()


def test_answers_are_judged_by_their_histograms() -> None:
    assert lately().met(900.0) == (8.0, 10.0)
    assert lately().latency_s(Metric.TTFT, 0.4, 60.0) == pytest.approx(0.1)


def test_gaps_between_tokens_are_no_answers() -> None:
    assert lately(targets_s={Metric.TTFT: 0.2, Metric.ITL: 0.01}).met(900.0) == (8.0, 10.0)
    assert lately(targets_s={Metric.ITL: 0.01}).met(900.0) is None


def test_a_latency_that_nobody_tells_leaves_the_slo_unjudged() -> None:
    assert lately(targets_s={Metric.TTFT: 0.2, Metric.TPOT: 0.05}).met(900.0) is None
    assert lately(found={}).latency_s(Metric.TTFT, 0.5, 60.0) is None
