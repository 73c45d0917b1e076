"""How many replicas there are to be: one pure function of what is seen, what is expected and what was decided.

A new replica serves `start_up_s` from now. So as many are wanted as the traffic of that moment needs, at the high
end of its forecast, and for those that have a queue to catch up with. Fewer are wanted only when fewer would have
done for half as long as a start takes: one that is stopped and needed again costs that time twice, idle and late.
What could not be seen changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from enova.core.control.arrivals import Forecast
from enova.core.control.plant import Plant
from enova.core.control.sight import Sight
from enova.core.simulate.replica import Stage

MOST_REQUESTS = 1e8
"""More than that at once is no number of requests but a mistake."""
DRAIN_S = 30.0
"""In what time a queue that is there when new replicas serve is to be gone."""
GROWTH = 4
"""Replicas that one look may add where there are not as many yet: figures may be wrong by any factor."""
SHORTEST_HOLD_S = 60.0
"""For how long one fewer must have been enough at least."""
HOLD_STARTS = 0.5
"""The same in start-up times."""
SPARE, ENOUGH = 0.2, 0.5
"""Shares of the failures that the SLO allows, below and above which more or less of the capacity is used."""
LEAST_LOAD, MOST_LOAD = 0.95, 1.15
UP_PER_LOOK, DOWN_PER_LOOK = 0.001, 0.004


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a decision leaves for the next one."""

    needs: tuple[tuple[float, int], ...] = ()
    """When so many replicas were needed, for as far back as that matters; needs descend, times ascend."""
    came_s: float | None = None
    """When a request was last seen to come or to be at work."""
    load: float = 1.0
    """How much of the capacity may be used: more while the SLO is kept with ease, less while it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How many replicas there are to be, and why."""

    at_s: float
    replicas: int
    needed: int
    """Without limits, now that what is decided takes effect."""
    reason: str
    up: int
    """How many there are, starting ones included."""
    ready: int
    rate: Forecast | None
    """Of the moment at which a replica that is started now serves; None: the traffic is not known."""
    queue: float
    """Requests that wait for a replica."""
    capacity: float
    """Requests/s that those there are take."""
    without_one: float
    """The same with one fewer."""
    hold_until_s: float | None = None
    """When there may be fewer at the earliest, as it looks now."""
    limited_by: str = ""
    infeasible: bool = False


def decide(
    sight: Sight,
    *,
    now: Forecast | None,
    then: Forecast | None,
    burn: float | None,
    busy: bool,
    plant: Plant,
    memory: Memory,
) -> tuple[Decision, Memory]:
    """Return what is to be, and what to remember.

    Args:
        sight: of the service.
        now: what comes for certain until anything that is started serves; None: not known.
        then: the forecast of that moment; None: not known.
        burn: share of the failures the SLO allows that was used lately, 1 is all; None: not known.
        busy: whether requests came or are at work, or that is not known.
        plant: what is scaled.
        memory: what the last decision left.
    """
    at_s = sight.at_s
    up, ready = sight.up, sight.ready
    came_s = at_s if busy or memory.came_s is None else memory.came_s
    queue = sight.held + sum(believable(replica.waiting) or 0.0 for replica in sight.at(Stage.READY))
    curve = plant.capacity

    def decision(replicas: int, needed: int, reason: str, hold_until_s: float | None = None) -> Decision:
        return Decision(
            at_s=at_s,
            replicas=replicas,
            needed=needed,
            reason=reason + ("" if plant.feasible else "; the SLO cannot be kept at any rate: throughput is"),
            up=up,
            ready=ready,
            rate=then,
            queue=queue,
            capacity=curve.of(up),
            without_one=curve.of(up - 1),
            hold_until_s=hold_until_s,
            limited_by=plant.limit if plant.most is not None and needed > plant.most else "",
            infeasible=not plant.feasible,
        )

    if now is None or then is None:
        return decision(up, up, "the traffic is not known: nothing changes"), memory
    expected = then.high * plant.start_up_s >= 1
    if _is_idle(plant, at_s, came_s) and not queue and not expected:
        words = f"no request for {at_s - came_s:.0f} s"
        return decision(0, 0, words), Memory(came_s=came_s, load=memory.load)
    if not up and not busy and not queue and not expected:
        return decision(0, 0, "nothing comes"), Memory(came_s=came_s, load=memory.load)

    load = _load(memory.load, burn, plant)
    # What waits at a replica is not helped by others: they stand in for it until it has caught up.
    stuck = _stuck(sight, then.mean, plant)
    for_then = curve.needed((then.high + sight.held / DRAIN_S) / load) + stuck
    to_keep = curve.needed(max(now.high, then.high) / load) + stuck
    most = plant.most if plant.most is not None else max(for_then, to_keep, plant.fewest, up)
    wanted = min(max(for_then, plant.fewest), most, up + max(up, GROWTH))
    lasting = min(max(for_then, to_keep, plant.fewest), most)
    # Of those that are there when nothing is remembered yet it is not known that they are not needed.
    before = memory.needs or ((at_s, up),)
    needs = _remembered(before, at_s, lasting, plant)
    hold = max(need for _, need in needs)
    left = Memory(needs=needs, came_s=came_s, load=load)
    if wanted > up:
        reason = f"{then.high:.2f} requests/s are to be expected in {plant.start_up_s:.0f} s ({then.by})"
        if queue >= 1:
            reason += f", and {queue:.0f} wait"
        return decision(wanted, for_then, f"{reason}; {up} take {curve.of(up):.2f}"), left
    if hold < up and sight.at(Stage.STARTING):
        reason = f"{hold} would have done, but what was asked for has yet to start"
        return decision(up, for_then, reason), left
    if hold < up:
        reason = f"{hold} would have done for {_hold_s(plant):.0f} s: {max(now.high, then.high):.2f} requests/s"
        return decision(
            hold, for_then, f"{reason} at most are to be expected; {hold} take {curve.of(hold):.2f}"
        ), left
    if lasting < up:
        until_s = min(at for at, need in needs if need >= up) + _hold_s(plant)
        reason = f"{lasting} would do now, but {up} were needed within {_hold_s(plant):.0f} s"
        return decision(up, for_then, reason, until_s), left
    return decision(
        up, for_then, f"{up} take {curve.of(up):.2f} requests/s, {then.high:.2f} are to be expected"
    ), left


def _load(load: float, burn: float | None, plant: Plant) -> float:
    """Return how much of the capacity may be used from now on; called once a look."""
    if burn is None or not plant.feasible:
        return load
    if burn < SPARE:
        return min(MOST_LOAD, load + UP_PER_LOOK)
    if burn > ENOUGH:
        return max(LEAST_LOAD, load - DOWN_PER_LOOK)
    return load


def _is_idle(plant: Plant, at_s: float, came_s: float) -> bool:
    return plant.idle_to_zero_s is not None and at_s - came_s >= plant.idle_to_zero_s


def _stuck(sight: Sight, rate: float, plant: Plant) -> int:
    """Return how many replicas will be busy for longer with what waits then than a queue may take."""
    serving = sight.at(Stage.READY)
    if not serving:
        return 0
    each = plant.capacity.of(len(serving)) / len(serving)
    grown = (rate / len(serving) - each) * plant.start_up_s
    waits = [believable(replica.waiting) or 0.0 for replica in serving]
    return sum(waiting > 0 and waiting + grown > DRAIN_S * each for waiting in waits)


def _hold_s(plant: Plant) -> float:
    return max(SHORTEST_HOLD_S, HOLD_STARTS * plant.start_up_s)


def _remembered(
    needs: tuple[tuple[float, int], ...], at_s: float, need: int, plant: Plant
) -> tuple[tuple[float, int], ...]:
    """Return the needs that are still to be held, and this one: of those before it only larger ones matter."""
    since_s = at_s - _hold_s(plant)
    kept = tuple(one for one in needs if one[0] > since_s and one[1] > need)
    return (*kept, (at_s, need))


def believable(value: float | None) -> float | None:
    """Return a number of requests that can be one; None for anything else."""
    return value if value is not None and 0 <= value <= MOST_REQUESTS else None
