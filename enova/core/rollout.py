"""How an action is carried out: a fixed sequence of single effects.

Bring up: create, start, wait until ready, smoke-probe, watch for a while if it replaces another, and only then
route. Put down: unroute, let in-flight requests end, stop. A replace brings the new one up first, unless there is
no room for both; either way the old one is removed only once the new one is routed to, so that it can be restored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from enova.core.canary import Canary
from enova.core.launch import Launch, Role
from enova.core.observed import Instance, State


class Up(StrEnum):
    """One effect on the way to an instance that serves."""

    CREATE = "create"
    START = "start"
    READY = "wait until ready"
    PROBE = "probe"
    SETTLE = "watch whether it stays up"
    ROUTE = "route"


class Down(StrEnum):
    """One effect on the way to an instance's absence."""

    UNROUTE = "unroute"
    DRAIN = "drain"
    STOP = "stop"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPolicy:
    """How a service wants its instances brought up and taken down."""

    surge: int = 1
    """How many extra replicas may exist while replacing."""
    max_unavailable: int = 0
    """How many replicas may be down while replacing."""
    ready_timeout_s: float = 1200.0
    settle_s: float = 15.0
    """How long one that replaces another has to stay up, without traffic, before it is routed to."""
    drain_timeout_s: float = 30.0
    stop_timeout_s: float = 30.0
    canary: Canary | None = None
    """How new replicas are tried before the rest follows; None: they are not."""
    probe_prompt: str = "Hello"
    probe_max_tokens: int = 4
    probe_timeout_s: float = 60.0


def bring_up(launch: Launch, existing: Instance | None, *, replaces: bool = False) -> tuple[Up, ...]:
    """Return the effects from whatever there is of `launch` to it serving, in the place of another or not."""
    effects = [Up.READY]
    if launch.role is Role.REPLICA:
        effects += [Up.PROBE, Up.SETTLE, Up.ROUTE] if replaces else [Up.PROBE, Up.ROUTE]
    if existing is None or existing.state is not State.RUNNING:
        effects.insert(0, Up.START)
    if existing is None:
        effects.insert(0, Up.CREATE)
    return tuple(effects)


def put_down(instance: Instance) -> tuple[Down, ...]:
    """Return the effects from whatever state `instance` is in to its standing still.

    A worker that died stays on its gateway's list until it is taken off.
    """
    effects = [Down.UNROUTE] if instance.role is Role.REPLICA else []
    if instance.state is State.RUNNING:
        effects += [Down.DRAIN, Down.STOP] if instance.role is Role.REPLICA else [Down.STOP]
    return tuple(effects)


def take_down(instance: Instance) -> tuple[Down, ...]:
    """Return the effects from whatever state `instance` is in to its absence."""
    return (*put_down(instance), Down.REMOVE)
