"""Of all that is found in one slot, what is kept and what has to go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from enova.core.fingerprint import Change, Settings, changes
from enova.core.launch import Launch
from enova.core.observed import Health, Instance, State


@dataclass(frozen=True, slots=True)
class Found:
    """One slot: the instance that is what we want, if any, and the others, best first."""

    kept: Instance | None
    others: tuple[Instance, ...]


def choose(candidates: Iterable[Instance], launch: Launch, wanted: Settings, wanted_fingerprint: str) -> Found:
    """Split a slot's instances into the one to keep and the rest.

    The choice must not depend on the order of `candidates`: what serves best wins, then the smallest name.
    """
    ranked = sorted(candidates, key=_rank)
    matching = [i for i in ranked if i.runtime == launch.runtime and _same(i, wanted, wanted_fingerprint)]
    kept = matching[0] if matching else None
    return Found(kept, tuple(i for i in ranked if i is not kept))


def field_changes(old: Instance, launch: Launch, wanted: Settings) -> tuple[Change, ...]:
    """Return what differs between what runs and what is wanted, in the spec's own field names."""
    moved = () if old.runtime == launch.runtime else (Change("placement.runtime", old.runtime, launch.runtime),)
    return (*changes(old.settings, wanted), *moved)


def _same(instance: Instance, wanted: Settings, wanted_fingerprint: str) -> bool:
    """Equal settings count as the same even if another version of Enova hashed them differently."""
    return instance.fingerprint == wanted_fingerprint or not changes(instance.settings, wanted)


def _rank(instance: Instance) -> tuple[int, int, str]:
    states = {State.RUNNING: 0, State.CREATED: 1, State.EXITED: 2}
    healths = {Health.HEALTHY: 0, Health.UNKNOWN: 1, Health.STARTING: 2, Health.UNHEALTHY: 3}
    return states[instance.state], healths[instance.health], instance.name
