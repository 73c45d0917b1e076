from __future__ import annotations

from dataclasses import replace

import pytest

from enova.core.control.arrivals import Forecast
from enova.core.control.decision import Decision, Memory, decide
from enova.core.control.plant import Curve, Plant
from enova.core.control.sight import Sight
from tests.core.control.seeing import PLANT, replicas, sight


def decided(
    seen: Sight,
    now: float | None,
    then: float | None = None,
    *,
    plant: Plant = PLANT,
    memory: Memory = Memory(came_s=0.0, needs=((-1e9, 0),)),  # noqa: B008 - frozen
    burn: float | None = None,
    busy: bool = True,
) -> tuple[Decision, Memory]:
    expected = now if then is None else then
    return decide(
        seen,
        now=None if now is None else Forecast(now, now, "a test"),
        then=None if expected is None else Forecast(expected, expected, "a test"),
        burn=burn,
        busy=busy,
        plant=plant,
        memory=memory,
    )


def test_as_many_are_wanted_as_the_traffic_needs_when_they_serve() -> None:
    decision, _ = decided(sight(0.0, replicas(2)), 15.0, 45.0)

    assert decision.replicas == 5
    assert "45.00 requests/s are to be expected in 60 s" in decision.reason
    assert (decision.up, decision.ready, decision.capacity, decision.without_one) == (2, 2, 20.0, 10.0)


def test_replicas_that_are_starting_count() -> None:
    decision, _ = decided(sight(0.0, replicas(2, 3)), 15.0, 45.0)

    assert decision.replicas == 5


def test_traffic_that_is_not_known_changes_nothing() -> None:
    decision, memory = decided(sight(500.0, replicas(7)), None)

    assert decision.replicas == 7
    assert "not known" in decision.reason
    assert memory.needs == ((-1e9, 0),)


def test_one_goes_only_after_fewer_would_have_done_for_as_long_as_they_are_held() -> None:
    memory = Memory(came_s=0.0)
    found = []
    for at_s in range(0, 90, 5):
        decision, memory = decided(sight(float(at_s), replicas(3)), 15.0, memory=memory)
        found.append((at_s, decision.replicas))

    assert [replicas for at_s, replicas in found if at_s < 60] == [3] * 12
    assert found[-1][1] == 2


def test_it_says_until_when_replicas_are_held() -> None:
    _, memory = decided(sight(0.0, replicas(3)), 25.0)
    decision, _ = decided(sight(30.0, replicas(3)), 15.0, memory=memory)

    assert decision.replicas == 3
    assert decision.hold_until_s == 60.0
    assert "3 were needed within 60 s" in decision.reason


def test_a_need_in_between_keeps_what_there_is() -> None:
    memory = Memory(came_s=0.0)
    for at_s in range(0, 300, 5):
        rate = 25.0 if at_s % 50 == 0 else 5.0
        decision, memory = decided(sight(float(at_s), replicas(3)), rate, memory=memory)
        assert decision.replicas == 3


def test_nothing_goes_while_something_that_was_asked_for_starts() -> None:
    decision, _ = decided(sight(900.0, replicas(2, 1)), 5.0)

    assert decision.replicas == 3
    assert "yet to start" in decision.reason


def test_what_comes_until_then_is_not_taken_away() -> None:
    decision, _ = decided(sight(900.0, replicas(3)), 25.0, 5.0)

    assert decision.replicas == 3


def test_replicas_that_have_to_catch_up_are_stood_in_for() -> None:
    # 400 wait at each of two: 40 s of work, and what comes is as much as they take.
    decision, _ = decided(sight(0.0, replicas(2, waiting=400.0)), 20.0)

    assert decision.replicas == 4


def test_a_short_queue_is_none_to_be_helped() -> None:
    decision, _ = decided(sight(0.0, replicas(2, waiting=5.0)), 20.0)

    assert decision.replicas == 2


def test_requests_held_at_the_gateway_start_replicas() -> None:
    decision, _ = decided(sight(0.0, (), held=1), 0.0)

    assert decision.replicas == 1


def test_limits_are_obeyed_and_named() -> None:
    plant = replace(PLANT, fewest=2, most=3, limit="budget.gpus is 3")
    more, _ = decided(sight(0.0, replicas(2)), 45.0, plant=plant)
    fewer, _ = decided(sight(900.0, replicas(3)), 1.0, plant=plant)

    assert (more.replicas, more.needed, more.limited_by) == (3, 5, "budget.gpus is 3")
    assert (fewer.replicas, fewer.limited_by) == (2, "")


def test_more_than_the_limit_go_back_to_it() -> None:
    plant = replace(PLANT, most=3, limit="scaling.max is 3")
    decision, _ = decided(
        sight(900.0, replicas(5)), 45.0, plant=plant, memory=Memory(came_s=0.0, needs=((0.0, 1),))
    )

    assert decision.replicas == 3


def test_one_look_adds_no_more_than_twice_what_there_is_or_a_few() -> None:
    assert decided(sight(0.0, replicas(1)), 1e9)[0].replicas == 5
    assert decided(sight(0.0, replicas(20)), 1e9)[0].replicas == 40


def test_all_go_after_a_time_without_a_request_if_that_is_wanted() -> None:
    plant = replace(PLANT, idle_to_zero_s=600.0)
    memory = Memory(came_s=0.0, needs=((0.0, 1),))
    before, memory = decided(sight(599.0, replicas(1)), 0.0, plant=plant, memory=memory, busy=False)
    after, _ = decided(sight(600.0, replicas(1)), 0.0, plant=plant, memory=memory, busy=False)

    assert (before.replicas, after.replicas) == (1, 0)
    assert "no request for 600 s" in after.reason


def test_what_is_idle_stays_by_default() -> None:
    decision, _ = decided(sight(1e6, replicas(1)), 0.0, busy=False)

    assert decision.replicas == 1


def test_traffic_to_be_expected_wakes_a_sleeping_service() -> None:
    plant = replace(PLANT, idle_to_zero_s=600.0)
    decision, _ = decided(sight(9000.0, ()), 0.0, 5.0, plant=plant, busy=False)

    assert decision.replicas == 1


def test_an_slo_that_is_kept_with_ease_lets_more_of_the_capacity_be_used() -> None:
    memory = Memory(came_s=0.0)
    for at_s in range(0, 1000, 5):
        _, memory = decided(sight(float(at_s), replicas(2)), 15.0, memory=memory, burn=0.0)
    eased, _ = decided(sight(1000.0, replicas(2)), 22.0, memory=memory, burn=0.0)
    for at_s in range(1000, 2000, 5):
        _, memory = decided(sight(float(at_s), replicas(2)), 15.0, memory=memory, burn=2.0)
    strained, _ = decided(sight(2000.0, replicas(2)), 19.5, memory=memory, burn=2.0)

    assert eased.replicas == 2
    assert strained.replicas == 3


def test_an_slo_that_cannot_be_kept_is_said_and_not_chased() -> None:
    plant = Plant(capacity=Curve((1,), (10.0,)), feasible=False, start_up_s=60.0)
    decision, memory = decided(sight(0.0, replicas(2)), 15.0, plant=plant, burn=50.0)

    assert decision.replicas == 2
    assert decision.infeasible
    assert "cannot be kept" in decision.reason
    assert memory.load == 1.0


@pytest.mark.parametrize("waiting", [None, float("nan"), float("inf"), -5.0, 1e300])
def test_a_queue_that_cannot_be_one_is_not_believed(waiting: float | None) -> None:
    decision, _ = decided(sight(0.0, replicas(2, waiting=waiting)), 15.0)

    assert decision.replicas == 2
