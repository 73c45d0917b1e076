from __future__ import annotations

import pytest

from enova.core.backtest.notes import MEMORY_S, Notes
from enova.core.control.sight import Moment
from enova.core.simulate.observer import Served
from enova.core.simulate.replica import ReplicaView, Stage
from enova.core.simulate.results import Metric
from enova.core.workload.request import Request


def answer(at_s: float, first_s: float, finished_s: float, output_tokens: int = 11) -> Served:
    return Served(Request(0, at_s, 100, output_tokens), at_s, first_s, finished_s, 0, 0)


def noted(*arrived: int, step_s: float = 5.0) -> Notes:
    """Return notes of looks, each with how many requests had come."""
    notes = Notes(())
    for place, count in enumerate(arrived):
        notes.look(place * step_s, (), count)
    return notes


def test_arrivals_are_those_since_a_look_that_is_old_enough() -> None:
    notes = noted(0, 3, 10, 30)

    assert (notes.arrived(5.0), notes.arrived(10.0), notes.arrived(6.0)) == (20, 27, 27)


def test_before_a_window_is_full_it_is_as_long_as_there_are_looks() -> None:
    assert noted(2, 5).arrived(600.0) == 3


@pytest.mark.parametrize("looks", [(), (7,)], ids=["no look", "one"])
def test_what_cannot_be_compared_is_not_known(looks: tuple[int, ...]) -> None:
    notes = noted(*looks)

    assert notes.arrived(60.0) is None
    assert notes.finished(60.0) is None
    assert notes.latency_s(Metric.TTFT, 0.9, 60.0) is None


def test_latencies_are_of_answers_between_looks() -> None:
    notes = noted(0)
    notes.served(answer(0.0, 1.0, 3.0))
    notes.look(5.0, (), 1)
    notes.served(answer(5.0, 5.5, 6.5))
    notes.look(10.0, (), 2)
    # Answered, but not looked at yet.
    notes.served(answer(5.0, 9.0, 11.0))

    assert (notes.finished(5.0), notes.finished(10.0)) == (1, 2)
    assert notes.latency_s(Metric.TTFT, 0.5, 5.0) == pytest.approx(0.5)
    assert notes.latency_s(Metric.E2E, 0.5, 5.0) == pytest.approx(1.5)
    assert notes.latency_s(Metric.TPOT, 0.5, 5.0) == pytest.approx(0.1)
    assert notes.latency_s(Metric.TTFT, 0.5, 10.0) == pytest.approx(0.75)
    assert notes.latency_s(Metric.TTFT, 0.0, 10.0) == pytest.approx(0.5)


def test_without_an_answer_or_a_gap_there_is_no_latency() -> None:
    notes = noted(0, 0)
    assert notes.latency_s(Metric.TTFT, 0.5, 5.0) is None

    notes.served(answer(6.0, 7.0, 7.0, output_tokens=1))
    notes.look(10.0, (), 1)
    assert notes.latency_s(Metric.ITL, 0.5, 5.0) is None
    assert notes.latency_s(Metric.TTFT, 0.5, 5.0) == pytest.approx(1.0)


def test_a_moment_is_of_the_replicas_that_serve() -> None:
    notes = Notes(())
    views = (
        ReplicaView(0, Stage.READY, 5, 4, 1, 0.5),
        ReplicaView(1, Stage.READY, 2, 2, 0, 0.1),
        ReplicaView(2, Stage.DRAINING, 3, 3, 0, 0.9),
        ReplicaView(3, Stage.STARTING, 0, 0, 0, 0.0),
    )
    notes.look(5.0, views, 7)
    notes.look(10.0, views[2:], 7)

    busy, empty = notes.moments(60.0)
    assert busy == Moment(5.0, 2, 7, 6, 1, 0.3)
    assert empty == Moment(10.0, 0, 0, 0, 0, 0.0)
    assert notes.moments(5.0) == (empty,)
    assert Notes(()).moments(60.0) == ()


def test_looks_are_forgotten_and_answers_are_not() -> None:
    notes = Notes(())
    for second in range(0, 5000, 5):
        notes.served(answer(second, second + 1, second + 2))
        notes.look(second, (), second)

    assert len(notes.moments(9e9)) == MEMORY_S / 5 + 1
    assert notes.arrived(9e9) == MEMORY_S
    assert len(notes.table()) == 1000


def test_requests_without_an_answer_are_counted_by_their_reason() -> None:
    notes = Notes(())
    notes.rejected(Request(0, 1.0, 9999, 1), "it is too long")
    notes.lost(Request(1, 2.0, 10, 1), 8.0, "its replica died")
    notes.lost(Request(2, 3.0, 10, 1), 8.0, "its replica died")

    assert notes.unanswered == [1.0, 2.0, 3.0]
    assert notes.reasons == {"it is too long": 1, "its replica died": 2}
