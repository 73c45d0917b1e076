"""One pass: observe, resolve, plan, apply. Read this first.

`plan` looks at the world and decides; `apply` does what was decided. Both take everything they touch as a World.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from enova.core.desired import Desired
from enova.core.launch import Role
from enova.core.launches import desired_state
from enova.core.observed import Observed, State
from enova.core.plan import Plan
from enova.core.reconcile import reconcile, removal
from enova.core.resolve import Resolved, resolve
from enova.core.spec import Service
from enova.executor import Listener, Result, execute
from enova.observe import observe
from enova.wait import Stop
from enova.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What one pass saw and decided."""

    observed: Observed
    resolved: tuple[Resolved, ...]
    desired: tuple[Desired, ...]
    plan: Plan


def plan(services: Sequence[Service], world: World, *, prune: bool = False) -> Tick:
    """Look, and return what would have to be done for `services` to be as they are written."""
    resolved = tuple(resolve(service) for service in services)
    desired = tuple(desired_state(service) for service in resolved)
    needed = {service.replica.runtime for service in desired}
    observed = observe(world, needed=needed, gpus=any(service.replica.gpus for service in desired))
    return Tick(
        observed=observed, resolved=resolved, desired=desired, plan=reconcile(desired, observed, prune=prune)
    )


def plan_removal(names: Sequence[str], world: World, *, needed: Collection[str] = ()) -> Tick:
    """Look, and return how to remove all that is ours of the named services.

    The `needed` runtimes must answer.
    """
    observed = observe(world, needed=needed, gpus=False)
    return Tick(observed=observed, resolved=(), desired=(), plan=removal(observed, names))


def apply(tick: Tick, world: World, listener: Listener, stop: Stop) -> Result:
    """Do what `tick` decided. The plan must have no refusals; services that are Unknown have no actions in it."""
    gateways = [i for i in tick.observed.instances() if i.role is Role.GATEWAY and i.state is State.RUNNING]
    return execute(tick.plan, world, gateways, listener, stop)
