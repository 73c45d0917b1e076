"""While no replica serves, the gateway holds requests, so many and each for so long."""

from __future__ import annotations

import numpy as np
import pytest

from enova.core.simulate.changes import Fail, Hold, Retries, Scale
from enova.core.simulate.fleet import Fleet
from enova.core.simulate.limits import Limits
from enova.core.simulate.replica import ReplicaSetup
from enova.core.workload.request import Request
from tests.core.simulate.step_times import Affine
from tests.core.simulate.tally import Tally

REPLICA = ReplicaSetup(
    limits=Limits(max_num_seqs=8, max_num_batched_tokens=2048, kv_blocks=1000),
    step_time=Affine(base_s=0.01),
    start_up_s=10.0,
)


def served(*changes: Scale | Fail, hold: Hold, tally: Tally, count: int = 40) -> Fleet:
    """Return a fleet of one replica that has served a request a second."""
    rng = np.random.default_rng(7)
    fleet = Fleet([REPLICA], tally, rng, retries=Retries(attempts=1), changes=changes, hold=hold)
    fleet.serve([Request(number, float(number), 100, 50) for number in range(count)])
    return fleet


def test_held_requests_are_served_as_soon_as_a_replica_is() -> None:
    tally = Tally()
    fleet = served(Scale(4.5, 0), Scale(19.5, 1), hold=Hold(100, 600.0), tally=tally)

    waits_s = tally.waits_s()
    # It serves at 29.5 s, and takes 8 at a time.
    assert waits_s[5] == pytest.approx(24.5, abs=0.05)
    assert waits_s[12] == pytest.approx(17.5, abs=0.05)
    assert waits_s[35] == pytest.approx(0.0, abs=0.05)
    assert (len(tally.answers), tally.losses, fleet.held, fleet.arrived) == (40, [], {}, 40)


def test_held_requests_are_served_in_the_order_they_came() -> None:
    tally = Tally()
    served(Scale(4.5, 0), Scale(19.5, 1), hold=Hold(100, 600.0), tally=tally)

    begun = [answer.request.number for answer in sorted(tally.answers, key=lambda answer: answer.scheduled_s)]
    assert begun == sorted(begun)


def test_a_request_is_held_for_so_long_and_then_lost() -> None:
    tally = Tally()
    served(Scale(4.5, 0), Scale(19.5, 1), hold=Hold(100, 10.0), tally=tally)

    assert [(request.number, at_s) for request, at_s, _ in tally.losses] == [(n, n + 10.0) for n in range(5, 20)]
    assert {reason for _, _, reason in tally.losses} == {"it was held for too long"}
    assert tally.numbers == list(range(40))


def test_no_more_are_held_than_there_is_room_for() -> None:
    tally = Tally()
    served(Scale(4.5, 0), Scale(19.5, 1), hold=Hold(3, 600.0), tally=tally)

    assert [request.number for request, _, _ in tally.losses] == list(range(8, 30))
    assert {reason for _, _, reason in tally.losses} == {"there was no replica"}


def test_nothing_is_held_unless_asked_for() -> None:
    tally = Tally()
    served(Scale(4.5, 0), Scale(19.5, 1), hold=Hold(), tally=tally)

    assert [request.number for request, _, _ in tally.losses] == list(range(5, 30))


def test_a_fleet_that_never_serves_again_comes_to_an_end() -> None:
    tally = Tally()
    served(Scale(4.5, 0), hold=Hold(100, 30.0), tally=tally)

    assert len(tally.answers) == 5
    assert len(tally.losses) == 35


def test_a_replica_was_ready_for_the_first_time_before_it_failed() -> None:
    fleet = served(Scale(4.5, 2), Fail(20.0, 1), hold=Hold(100, 600.0), tally=Tally())

    assert [replica.first_ready_s for replica in fleet.replicas] == [0.0, 14.5]
