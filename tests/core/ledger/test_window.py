"""Two looks at all replicas make a measurement, or say why they do not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from enova.core.engine.snapshot import Snapshot
from enova.core.ledger.histogram import Histogram
from enova.core.ledger.records import Measured, Measurement
from enova.core.ledger.window import Look, Window, measurement_of, window_of
from enova.core.observed import Unknown

EDGES = (0.1, 0.25, math.inf)


def ttft(*counts: float, total: float = 0.0, edges: tuple[float, ...] = EDGES) -> Histogram:
    return Histogram(edges, counts, total)


def look(at_s: float, requests: float, *, in_flight: float = 0.0, **changes: Any) -> Look:
    """Return a replica that has answered so many requests, of 100 tokens, with first tokens after 0.25 s."""
    snapshot = Snapshot(
        at_s=at_s,
        finished=requests,
        finished_output_tokens=100 * requests,
        output_tokens=100 * requests,
        running=in_flight,
        waiting=0.0,
    )
    values: dict[str, Any] = {
        "engines": {"0": snapshot},
        "histograms": {"ttft": ttft(0.0, requests, requests, total=0.25 * requests)},
        "started_s": 1.0,
    }
    return Look(**(values | changes))


def window(before: Look, after: Look) -> Window:
    found = window_of(before, after)
    assert isinstance(found, Window)
    return found


def measured(*windows: Window) -> Measurement | Unknown | None:
    return measurement_of(windows, service="chat", fingerprint="v1:a", began_s=5000.0)


def test_a_measurement_is_of_all_replicas_together() -> None:
    first = window(look(10.0, 100), look(70.0, 400))
    second = window(look(11.0, 0), look(71.0, 120))

    found = measured(first, second)

    assert found == Measurement(
        service="chat",
        fingerprint="v1:a",
        began_s=5000.0,
        ended_s=5060.0,
        source="metrics",
        requests=420,
        rate=7.0,
        replicas=2,
        output_tokens=100.0,
        figures={
            "output_tokens_per_s": Measured.exactly(700.0),
            "requests_per_s": Measured.exactly(7.0),
            "ttft.mean": Measured.exactly(0.25),
            **{
                f"ttft.{name}": Measured(0.1 + 0.15 * share, 0.1, 0.25)
                for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99_9", 0.999))
            },
        },
    )


def test_what_is_in_flight_at_the_end_came_as_well() -> None:
    found = measured(window(look(0.0, 0, in_flight=10), look(60.0, 300, in_flight=70)))

    assert isinstance(found, Measurement)
    assert (found.rate, found.requests) == (6.0, 300)
    assert found.figures["requests_per_s"] == Measured.exactly(5.0)


def test_without_an_answered_request_there_is_nothing_to_measure() -> None:
    assert measured(window(look(0.0, 100), look(60.0, 100))) is None


@pytest.mark.parametrize(
    "after",
    [
        look(60.0, 40),
        look(60.0, 400, started_s=30.0),
        look(60.0, 400, histograms={"ttft": ttft(0.0, 40.0, 400.0)}),
    ],
    ids=["a counter went back", "its process is younger", "a histogram went back"],
)
def test_counters_that_began_anew_discard_the_window(after: Look) -> None:
    before = look(0.0, 100)

    assert window_of(before, after) == Unknown("it was started anew meanwhile, and its counters with it")


def test_an_engine_that_appeared_discards_the_window() -> None:
    before, after = look(0.0, 100), look(60.0, 400)
    more = replace(after, engines={**after.engines, "1": after.engines["0"]})

    assert isinstance(window_of(before, more), Unknown)
    assert isinstance(window_of(look(0.0, 0, engines={}), look(60.0, 0, engines={})), Unknown)


def test_a_counter_that_is_not_offered_is_named_and_not_taken_for_zero() -> None:
    after = look(60.0, 400)
    without = replace(after, engines={"0": replace(after.engines["0"], waiting=None)})

    assert window_of(look(0.0, 100), without) == Unknown("its metrics do not offer waiting")


def test_a_latency_that_one_replica_does_not_tell_is_left_out() -> None:
    silent = window(look(0.0, 0, histograms={}), look(60.0, 100, histograms={}))

    found = measured(silent, window(look(0.0, 0), look(60.0, 100)))

    assert isinstance(found, Measurement)
    assert sorted(found.figures) == ["output_tokens_per_s", "requests_per_s"]


def test_replicas_with_other_buckets_cannot_be_added_up() -> None:
    finer = {"ttft": ttft(0.0, 0.0, edges=(0.2, math.inf))}
    finer_later = {"ttft": ttft(50.0, 100.0, total=20.0, edges=(0.2, math.inf))}
    other = window(look(0.0, 0, histograms=finer), look(60.0, 100, histograms=finer_later))

    found = measured(window(look(0.0, 0), look(60.0, 100)), other)

    assert found == Unknown("its replicas cannot be added up: the histograms have different buckets")
