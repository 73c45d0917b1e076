"""One pass: observe, advise, resolve, plan, apply. Read this first.

`plan` looks at the world and decides; `apply` does what was decided. Both take everything they touch as a World,
and what they know as Knowledge.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from enova.advise import Advice, Wish, adviser_of
from enova.core.desired import Desired
from enova.core.launch import Role
from enova.core.launches import desired_state
from enova.core.lockfile import Lock
from enova.core.observed import Observed, State
from enova.core.outlook import Outlook
from enova.core.plan import Plan
from enova.core.recommend.recommendation import Outcome
from enova.core.reconcile import reconcile, removal
from enova.core.resolve import Resolved, resolve
from enova.core.spec import Service
from enova.executor import Listener, Result, execute
from enova.knowledge import Knowledge
from enova.observe import observe
from enova.outlook import outlooks, start_up_of
from enova.wait import Stop
from enova.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """What one pass saw and decided."""

    observed: Observed
    resolved: tuple[Resolved, ...]
    desired: tuple[Desired, ...]
    plan: Plan
    advice: Mapping[str, Advice] = field(default_factory=dict)
    """By service."""
    outlooks: tuple[Outlook, ...] = ()
    """Of every service that was advised on, by name."""

    def of(self, services: Collection[str]) -> Tick:
        """Return what it is about these services."""
        return replace(
            self,
            resolved=tuple(one for one in self.resolved if one.service.name in services),
            desired=tuple(one for one in self.desired if one.service in services),
            plan=self.plan.of(services),
            advice={name: one for name, one in self.advice.items() if name in services},
            outlooks=tuple(one for one in self.outlooks if one.service in services),
        )

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Return the searches that were made, by service."""
        return {name: one.outcome for name, one in self.advice.items() if one.outcome is not None}


def plan(
    services: Sequence[Service],
    world: World,
    knowledge: Knowledge | None = None,
    *,
    lock: Lock | None = None,
    wish: Wish = Wish(),  # noqa: B008 - frozen
    prune: bool = False,
    hung: Callable[[Observed], Mapping[str, str]] = lambda _: {},
    reserved: frozenset[str] = frozenset(),
    scaled: Mapping[str, int] = MappingProxyType({}),
) -> Tick:
    """Look, and return what would have to be done for `services` to be as they are written.

    Args:
        services: wanted.
        world: what is looked at.
        knowledge: what choices and forecasts rest on; None: what is open gets its default.
        lock: what was chosen before.
        wish: how to choose.
        prune: whether services that are not wanted go.
        hung: which of what was observed runs and does nothing: how that was seen, by instance id.
        reserved: ids of GPUs that are promised to what is under way.
        scaled: how many replicas there are to be of services whose number follows their traffic. Of those that are
            not named there are to be as many as there are.

    Raises:
        LockError: a lock that was to hold does not fit.
    """
    needed = {service.runtime for service in services}
    observed = observe(world, needed=needed, gpus=any(service.gpus_per_replica for service in services))
    adviser = adviser_of(knowledge, observed, wish) if knowledge else None
    advice = adviser.advise(services, lock or {}) if adviser else {}
    resolved = tuple(
        _scaled(_resolved(service, advice.get(service.name)), observed, scaled.get(service.name))
        for service in services
    )
    desired = tuple(desired_state(one) for one in resolved)
    planned = reconcile(desired, observed, prune=prune, hung=hung(observed), reserved=reserved)
    if adviser:
        interrupted = {action.service for action in planned.actions if action.impact}
        waits = {
            one.service.name: start_up_of(one, adviser) for one in resolved if one.service.name in interrupted
        }
        planned = planned.expecting({name: wait_s for name, wait_s in waits.items() if wait_s is not None})
    planned = planned.with_advice(
        notes=[note for name in sorted(advice) for note in advice[name].notes],
        refusals=[note for name in sorted(advice) for note in advice[name].refusals],
    )
    return Tick(
        observed=observed,
        resolved=resolved,
        desired=desired,
        plan=planned,
        advice=advice,
        outlooks=outlooks(resolved, advice, adviser, observed, planned) if adviser and wish.foresee else (),
    )


def plan_removal(names: Sequence[str], world: World, *, needed: Collection[str] = ()) -> Tick:
    """Look, and return how to remove all that is ours of the named services.

    The `needed` runtimes must answer.
    """
    observed = observe(world, needed=needed, gpus=False)
    return Tick(observed=observed, resolved=(), desired=(), plan=removal(observed, names))


def apply(tick: Tick, world: World, listener: Listener, stop: Stop, enough: Stop | None = None) -> Result:
    """Do what `tick` decided. The plan must have no refusals; services that are Unknown have no actions in it.

    Of `stop` and `enough` see enova.executor.execute.
    """
    gateways = [i for i in tick.observed.instances() if i.role is Role.GATEWAY and i.state is State.RUNNING]
    return execute(tick.plan, world, gateways, listener, stop, enough)


def _scaled(resolved: Resolved, observed: Observed, replicas: int | None) -> Resolved:
    """Return a service with as many replicas as its autoscaler wants, within what the spec allows.

    Nobody else may change their number: a plan made while no autoscaler runs takes away nothing it has added.
    """
    scaling = resolved.service.scaling
    if scaling.mode != "auto":
        return resolved
    slots = {
        one.slot
        for one in observed.instances()
        if one.service == resolved.service.name and one.role is Role.REPLICA
    }
    wanted = replicas if replicas is not None else len(slots) or resolved.replicas
    most = wanted if scaling.max is None else scaling.max
    return replace(resolved, replicas=max(scaling.min, min(wanted, most)))


def _resolved(service: Service, advice: Advice | None) -> Resolved:
    if advice is None or advice.entry is None:
        return resolve(service)
    return resolve(service, advice.entry.chosen, advice.entry.why)
