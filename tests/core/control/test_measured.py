from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enova.core.control.measured import Measured
from enova.core.ledger.window import Look
from enova.core.observed import Unknown
from enova.core.simulate.results import Metric
from tests.core.ledger.test_window import look, ttft

TARGETS = {Metric.TTFT: 0.2}
DEAF = Unknown("no answer in time")


def measured(*rounds: tuple[float | None, dict[str, Look | Unknown]]) -> Measured:
    """Return what there is after rounds 5 s apart: what the gateway counted, and the looks at replicas."""
    found = Measured(TARGETS)
    for place, (arrived, looks) in enumerate(rounds):
        found.take(5.0 * (place + 1), arrived, looks, ready=len(looks))
    return found


def gateway(*counts: float | None) -> Measured:
    return measured(*((count, {}) for count in counts))


def test_what_came_is_the_growth_of_the_gateways_counter() -> None:
    found = gateway(100, 110, 130)

    assert found.arrived(5.0) == 20
    assert found.arrived(10.0) == 30


def test_the_first_look_cannot_tell_what_came() -> None:
    assert gateway(100).arrived(5.0) is None
    assert Measured(TARGETS).arrived(5.0) is None


def test_a_gateway_that_was_started_anew_is_counted_from_nothing() -> None:
    assert gateway(1000, 1010, 7).arrived(5.0) == 7


@pytest.mark.parametrize("told", [None, math.nan, -1.0, math.inf, 1e300])
def test_a_look_that_failed_is_no_lack_of_requests(told: float | None) -> None:
    assert gateway(100, 110, told).arrived(5.0) is None


def test_what_came_while_nobody_could_look_is_spread_over_that_time() -> None:
    found = gateway(100, 110, None, None, 140)

    assert found.arrived(5.0) == pytest.approx(10.0)
    assert found.arrived(15.0) == pytest.approx(30.0)


def test_answers_are_judged_by_their_histograms() -> None:
    # Of 10 answers, 4 came within 0.1 s and all within 0.25 s; two thirds of that bucket are within 0.2 s.
    after = look(10.0, 10, histograms={"ttft": ttft(4, 10, 10)})
    found = measured((0, {"a": look(5.0, 0, histograms={"ttft": ttft(0, 0, 0)})}), (10, {"a": after}))

    assert found.met(60.0) == pytest.approx((8.0, 10.0))
    assert found.latency_s(Metric.TTFT, 0.4, 60.0) == pytest.approx(0.1)
    assert found.finished(5.0) == 10


def test_replicas_are_added_up() -> None:
    found = measured(
        (0, {"a": look(5.0, 0), "b": look(5.0, 50)}), (0, {"a": look(10.0, 3, in_flight=2.0), "b": look(10.0, 54)})
    )

    assert found.finished(5.0) == 7
    (moment,) = found.moments(5.0)
    assert (moment.ready, moment.running, moment.waiting) == (2, 2.0, 0.0)


def test_of_a_replica_that_was_not_seen_it_is_not_known_what_it_answered() -> None:
    found = measured((0, {"a": look(5.0, 0), "b": look(5.0, 50)}), (0, {"a": look(10.0, 3), "b": DEAF}))

    assert found.finished(5.0) is None
    assert found.moments(5.0) == ()


def test_a_replica_that_was_started_anew_says_nothing_of_the_time_before() -> None:
    found = measured((0, {"a": look(5.0, 500)}), (0, {"a": replace(look(10.0, 3), started_s=9.0)}))

    assert found.finished(5.0) == 0
    assert found.met(5.0) is None


def test_an_slo_whose_latency_nobody_tells_is_not_judged() -> None:
    found = measured((0, {"a": look(5.0, 0, histograms={})}), (0, {"a": look(10.0, 5, histograms={})}))

    assert found.met(60.0) is None
    assert found.latency_s(Metric.TTFT, 0.9, 60.0) is None


counts = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 1e6))
looks = st.dictionaries(
    st.sampled_from("abc"),
    st.one_of(
        st.just(DEAF),
        st.builds(
            lambda requests, flying, started_s: look(
                1.0,
                requests,
                in_flight=flying,
                started_s=started_s,
                histograms={"ttft": ttft(0, requests, requests)},
            ),
            st.integers(0, 1000),
            st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.none()),
            st.sampled_from([1.0, 2.0]),
        ),
    ),
)


@given(st.lists(st.tuples(counts, looks), max_size=12))
def test_whatever_is_told_counts_are_counts(
    rounds: Sequence[tuple[float | None, dict[str, Look | Unknown]]],
) -> None:
    found = Measured(TARGETS)
    for place, (arrived, seen) in enumerate(rounds):
        moved = {
            name: replace(one, engines={"0": replace(one.engines["0"], at_s=5.0 * (place + 1))})
            if isinstance(one, Look)
            else one
            for name, one in seen.items()
        }
        found.take(5.0 * (place + 1), arrived, moved, ready=len(seen))
    came, met = found.arrived(20.0), found.met(20.0)

    assert came is None or came >= 0
    assert met is None or 0 <= met[0] <= met[1]
