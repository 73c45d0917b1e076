"""How services are: observed, and the plan where there are specs, in; conditions and replicas out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from enova.core.desired import Desired
from enova.core.launch import Kind, Role
from enova.core.observed import Health, Instance, Observed, Routes, State, Unknown
from enova.core.plan import Action, Note, Plan

SCHEMA_VERSION = 1


class Truth(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is, or is not, so; `reason` is one word for programs, `message` is for people."""

    type: str
    status: Truth
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatus:
    """One replica or gateway as it is now."""

    target: str
    name: str
    """What its runtime calls it."""
    role: Role
    state: State
    health: Health
    serving: bool
    """For a replica: whether its gateway routes to it. For a gateway: whether it listens."""
    runtime: str
    devices: tuple[str, ...]
    image: str | None
    age_s: float | None
    url: str | None
    emulated: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service: what it is like, what there is of it, and what is not in sync."""

    name: str
    in_spec: bool
    endpoint: str | None
    """Base URL of the OpenAI-compatible API; None while nothing listens."""
    emulated: bool
    conditions: tuple[Condition, ...]
    instances: tuple[InstanceStatus, ...]
    pending: tuple[Action, ...]
    notes: tuple[Note, ...]
    """What a plan remarks on and neither a condition nor the table tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything Enova runs or should run here."""

    services: tuple[ServiceStatus, ...]
    unknowns: tuple[Note, ...]
    """What could not be looked at."""
    compared: bool
    """Whether there were specs to compare with."""

    @property
    def exit_code(self) -> int:
        """Return 1 if something could not be looked at."""
        return 1 if self.unknowns else 0


def status(
    observed: Observed,
    *,
    now: float,
    desired: Sequence[Desired] = (),
    plan: Plan | None = None,
    stalled: Mapping[str, str] = MappingProxyType({}),
) -> Status:
    """Return the status of every service that runs or is desired, sorted by name. `now` is Unix time, seconds.

    `stalled` are the services of which what is wanted was tried and failed, each with why.
    """
    wanted = {one.service: one for one in desired}
    instances = observed.instances()
    names = sorted({*wanted, *(instance.service for instance in instances)})
    unseen = [Note(name, look.reason) for name, look in observed.runtimes.items() if isinstance(look, Unknown)]
    found: dict[str, list[Instance]] = {name: [] for name in names}
    for instance in instances:
        found[instance.service].append(instance)
    pending: dict[str, list[Action]] = {name: [] for name in names}
    for action in plan.actions if plan else ():
        pending[action.service].append(action)
    services = [
        _service(
            name,
            found[name],
            observed.routes,
            wanted.get(name),
            plan,
            tuple(pending[name]),
            now,
            stalled.get(name),
        )
        for name in names
    ]
    unknowns = plan.unknowns if plan else tuple(sorted(unseen))
    return Status(services=tuple(services), unknowns=unknowns, compared=plan is not None)


def to_json(status: Status) -> dict[str, Any]:
    """Return the stable JSON form of a status.

    schema_version   1
    compared         whether there were specs to compare with
    services         [{name, in_spec, endpoint, emulated, conditions: [{type, status, reason, message}],
                     instances: [{target, name, role, state, health, serving, runtime, devices, image, age_s, url,
                     emulated, detail}], pending: [what a plan would say], notes: [{message, hint}]}]
    unknowns         [{service, message, hint}]: what could not be looked at
    problems         what is wrong with the specs; added by the command, as is
    daemons          [{alive, …}]: what enova.core.watch.report.Report says of every `enova watch` of this machine
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "compared": status.compared,
        "services": [_service_json(service) for service in status.services],
        "unknowns": [{"service": n.service, "message": n.message, "hint": n.hint} for n in status.unknowns],
    }


def _service(
    name: str,
    own: Sequence[Instance],
    routes: Mapping[str, Routes],
    desired: Desired | None,
    plan: Plan | None,
    actions: tuple[Action, ...],
    now: float,
    stalled: str | None,
) -> ServiceStatus:
    told = {i.id: routes.get(i.id) for i in own if i.role is Role.GATEWAY}
    listening = [i for i in own if isinstance(told.get(i.id), frozenset)]
    routed = {url for urls in told.values() if isinstance(urls, frozenset) for url in urls}
    rows = tuple(_instance(i, serving=i in listening or i.worker_url in routed, now=now) for i in own)
    emulated = any(row.emulated for row in rows) or bool(desired and desired.replica.kind is Kind.EMULATED)
    url = next((i.url for i in listening), None)
    return ServiceStatus(
        name=name,
        in_spec=desired is not None,
        endpoint=f"{url.rstrip('/')}/v1" if url else None,
        emulated=emulated,
        conditions=(
            _ready(name, rows, told.values(), desired, plan),
            _reconciling(name, actions, desired, plan),
            *([Condition("Stalled", Truth.TRUE, "RolloutFailed", stalled)] if stalled and actions else []),
        ),
        instances=rows,
        pending=actions,
        notes=_remarks(name, desired, plan),
    )


def _remarks(name: str, desired: Desired | None, plan: Plan | None) -> tuple[Note, ...]:
    """That a service is suspended is a condition already."""
    if plan is None or desired is None or desired.suspended:
        return ()
    return tuple(note for note in plan.notes if note.service == name)


def _instance(instance: Instance, *, serving: bool, now: float) -> InstanceStatus:
    gateway = instance.role is Role.GATEWAY
    running = instance.state is State.RUNNING
    return InstanceStatus(
        target=instance.target,
        name=instance.name,
        role=instance.role,
        state=instance.state,
        # Its runtime asks a gateway nothing; that it tells its routes shows that it is well.
        health=Health.HEALTHY if gateway and serving else instance.health,
        serving=running and serving,
        runtime=instance.runtime,
        devices=instance.devices,
        image=instance.image,
        age_s=max(0.0, now - instance.created_at) if instance.created_at else None,
        url=instance.url,
        emulated=instance.settings.get("engine.kind") == Kind.EMULATED,
        detail=instance.detail,
    )


def _ready(
    name: str,
    rows: Sequence[InstanceStatus],
    routes: Iterable[Routes],
    desired: Desired | None,
    plan: Plan | None,
) -> Condition:
    def ready(status: Truth, reason: str, message: str) -> Condition:
        return Condition("Ready", status, reason, message)

    unseen = _of(plan.unknowns, name) if plan else []
    unseen += [found.reason for found in routes if isinstance(found, Unknown)]
    if unseen:
        return ready(Truth.UNKNOWN, "CouldNotLook", unseen[0])
    gateways = [row for row in rows if row.role is Role.GATEWAY]
    replicas = [row for row in rows if row.role is Role.REPLICA]
    wanted = desired.replicas if desired else len({row.target for row in replicas})
    serving = len({r.target for r in replicas if r.serving and r.health is not Health.UNHEALTHY})
    count = f"{serving} of {wanted} replica{'s' if wanted != 1 else ''} serve{'s' if wanted == 1 else ''}"
    if not any(row.serving for row in gateways):
        return ready(Truth.FALSE, "NoGateway", "no gateway listens")
    if serving == 0:
        return ready(Truth.FALSE, "NoReplica", count)
    if serving < wanted:
        return ready(Truth.FALSE, "ReplicasMissing", count)
    return ready(Truth.TRUE, "AllServe", count)


def _reconciling(name: str, actions: Sequence[Action], desired: Desired | None, plan: Plan | None) -> Condition:
    def reconciling(status: Truth, reason: str, message: str) -> Condition:
        return Condition("Reconciling", status, reason, message)

    if plan is None:
        return reconciling(Truth.UNKNOWN, "NotCompared", "no specs were given to compare with")
    if desired is None:
        return reconciling(Truth.FALSE, "NoSpec", "no given file names this service; it is left alone")
    if desired.suspended:
        return reconciling(Truth.FALSE, "Suspended", "it is left as it is")
    if _of(plan.unknowns, name):
        return reconciling(Truth.UNKNOWN, "CouldNotLook", "nothing is planned until it can be looked at again")
    refused = _of(plan.refusals, name)
    if refused:
        return reconciling(Truth.FALSE, "Refused", refused[0])
    if actions:
        return reconciling(Truth.TRUE, "ChangesPending", f"{len(actions)} to do; see pending")
    return reconciling(Truth.FALSE, "InSync", "as it should be")


def _of(notes: Sequence[Note], name: str) -> list[str]:
    return [note.message for note in notes if note.service == name]


def _service_json(service: ServiceStatus) -> dict[str, Any]:
    return {
        "name": service.name,
        "in_spec": service.in_spec,
        "endpoint": service.endpoint,
        "emulated": service.emulated,
        "conditions": [
            {"type": c.type, "status": str(c.status), "reason": c.reason, "message": c.message}
            for c in service.conditions
        ],
        "instances": [_instance_json(instance) for instance in service.instances],
        "pending": [str(action) for action in service.pending],
        "notes": [{"message": note.message, "hint": note.hint} for note in service.notes],
    }


def _instance_json(instance: InstanceStatus) -> dict[str, Any]:
    return {
        "target": instance.target,
        "name": instance.name,
        "role": str(instance.role),
        "state": str(instance.state),
        "health": str(instance.health),
        "serving": instance.serving,
        "runtime": instance.runtime,
        "devices": list(instance.devices),
        "image": instance.image,
        "age_s": None if instance.age_s is None else round(instance.age_s, 1),
        "url": instance.url,
        "emulated": instance.emulated,
        "detail": instance.detail,
    }
