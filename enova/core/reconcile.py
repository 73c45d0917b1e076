"""Desired and observed in, plan out. Pure, deterministic, and the only place that decides what happens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from enova.core.desired import Desired
from enova.core.gpu_pool import GpuPool
from enova.core.launch import Role
from enova.core.observed import Instance, Observed, Unknown
from enova.core.plan import Action, Note, Plan, Verb
from enova.core.reconcile_service import ServiceDiff, diff_service

REPLICAS_FIRST, GATEWAY_LAST = 0, 1


def reconcile(
    desired: Sequence[Desired],
    observed: Observed,
    *,
    prune: bool = False,
    hung: Mapping[str, str] = MappingProxyType({}),
    reserved: frozenset[str] = frozenset(),
) -> Plan:
    """Return what to do so that `observed` becomes `desired`.

    Services that run but are not desired are left alone and named in a note; with `prune` they are removed.
    A service one of whose runtimes or routes is Unknown gets no action at all. `hung` are ids of instances that
    run and do nothing, with how that was seen; `reserved` are GPUs promised to what is under way.
    """
    instances = observed.instances()
    found: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        found[instance.service].append(instance)
    pool = GpuPool(observed.gpus, instances, reserved)
    services = sorted(desired, key=lambda service: service.service)
    diffs = [_diff(service, found[service.service], observed, pool, hung) for service in services]
    strays = sorted(set(found) - {service.service for service in desired})
    if prune:
        diffs += [ServiceDiff(actions=_remove_all(found[name], "no spec names this service")) for name in strays]
    elif strays:
        diffs.append(ServiceDiff(notes=[_strays(strays)]))
    return _plan(diffs)


def removal(observed: Observed, services: Iterable[str]) -> Plan:
    """Return the plan that removes all that is ours of the named services, and nothing else."""
    wanted = set(services)
    instances = [instance for instance in observed.instances() if instance.service in wanted]
    unknowns = [Note(name, look.reason) for name, look in observed.runtimes.items() if isinstance(look, Unknown)]
    return _plan([ServiceDiff(actions=_remove_all(instances, "asked for"), unknowns=unknowns)])


def _diff(
    desired: Desired, found: list[Instance], observed: Observed, pool: GpuPool, hung: Mapping[str, str]
) -> ServiceDiff:
    if desired.suspended:
        note = Note(desired.service, "suspended: left as it is", "remove `suspend: true` to act on it again")
        return ServiceDiff(notes=[note])
    look = observed.runtimes.get(desired.replica.runtime, Unknown("was not looked at"))
    if isinstance(look, Unknown):
        return ServiceDiff(unknowns=[Note(desired.service, look.reason)])
    if isinstance(observed.gpus, Unknown) and desired.replica.gpus:
        return ServiceDiff(unknowns=[Note(desired.service, f"GPUs: {observed.gpus.reason}")])
    for instance in found:
        routes = observed.routes.get(instance.id)
        if isinstance(routes, Unknown):
            return ServiceDiff(unknowns=[Note(desired.service, f"{instance.target}: {routes.reason}")])
    return diff_service(desired, found, observed.routes, look.foreign_names, pool, hung)


def _remove_all(instances: Sequence[Instance], cause: str) -> list[Action]:
    """The gateway goes last: it is what drains the replicas."""
    return [
        Action(
            verb=Verb.REMOVE,
            target=instance.target,
            service=instance.service,
            cause=cause,
            wave=GATEWAY_LAST if instance.role is Role.GATEWAY else REPLICAS_FIRST,
            old=instance,
        )
        for instance in instances
    ]


def _strays(names: Sequence[str]) -> Note:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    runs, them = ("runs", "it") if len(names) == 1 else ("run", "them")
    message = f"{shown} {runs} here and no given file names {them}; left alone"
    return Note("other services", message, f"--prune removes {them}")


def _plan(diffs: Sequence[ServiceDiff]) -> Plan:
    order = {verb: index for index, verb in enumerate(Verb)}
    actions = [action for diff in diffs for action in diff.actions]
    return Plan(
        actions=tuple(sorted(actions, key=lambda a: (a.service, a.wave, a.target, order[a.verb], a.cause))),
        notes=tuple(note for diff in diffs for note in diff.notes),
        unknowns=tuple(note for diff in diffs for note in diff.unknowns),
        refusals=tuple(note for diff in diffs for note in diff.refusals),
    )
