"""The order of effects on the way up and on the way down."""

from __future__ import annotations

import pytest

from enova.core.observed import Instance, State
from enova.core.rollout import Down, Up, bring_up, take_down
from tests.staging import gateway, instance, replica


@pytest.mark.parametrize(
    ("existing", "effects"),
    [
        (None, (Up.CREATE, Up.START, Up.READY, Up.PROBE, Up.ROUTE)),
        (instance(replica(), state=State.CREATED), (Up.START, Up.READY, Up.PROBE, Up.ROUTE)),
        (instance(replica(), state=State.EXITED), (Up.START, Up.READY, Up.PROBE, Up.ROUTE)),
        (instance(replica()), (Up.READY, Up.PROBE, Up.ROUTE)),
    ],
    ids=["nothing", "created", "exited", "running"],
)
def test_a_replica_is_routed_to_only_after_it_generated(
    existing: Instance | None, effects: tuple[Up, ...]
) -> None:
    assert bring_up(replica(), existing) == effects


def test_a_gateway_is_there_once_it_is_ready() -> None:
    assert bring_up(gateway(), None) == (Up.CREATE, Up.START, Up.READY)


@pytest.mark.parametrize("state", [State.CREATED, State.EXITED])
def test_of_a_dead_replica_its_route_and_its_remains_are_left(state: State) -> None:
    assert take_down(instance(replica(), state=state)) == (Down.UNROUTE, Down.REMOVE)


def test_a_replica_gets_no_new_requests_and_ends_its_own_before_it_stops() -> None:
    assert take_down(instance(replica())) == (Down.UNROUTE, Down.DRAIN, Down.STOP, Down.REMOVE)


def test_a_gateway_drains_itself() -> None:
    assert take_down(instance(gateway())) == (Down.STOP, Down.REMOVE)
    assert take_down(instance(gateway(), state=State.EXITED)) == (Down.REMOVE,)
