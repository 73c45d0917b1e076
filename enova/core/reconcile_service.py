"""The difference for one service, slot by slot.

Waves: 0 the gateway and the remains of dead instances, 1 what is missing, 2 and up replacements in the steps the
rollout allows, and last what is not wanted any more. A later wave is begun only when the earlier one succeeded: so
what follows a canary is not, if that does worse.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from enova.core.desired import Desired
from enova.core.fingerprint import Change, Settings, fingerprint_of, instance_name, settings
from enova.core.gpu_pool import GpuPool
from enova.core.launch import Launch, Role
from enova.core.observed import Health, Instance, Routes, State
from enova.core.plan import Action, Note, Trial, Verb
from enova.core.slots import choose, field_changes
from enova.core.spec.units import Duration

GATEWAY_WAVE, CREATE_WAVE, REPLACE_WAVE = 0, 1, 2


@dataclass(slots=True)
class ServiceDiff:
    """What one service adds to the plan."""

    actions: list[Action] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    unknowns: list[Note] = field(default_factory=list)
    refusals: list[Note] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Replacement:
    launch: Launch
    old: Instance
    changes: tuple[Change, ...]


def diff_service(
    desired: Desired,
    found: list[Instance],
    routes: Mapping[str, Routes],
    foreign_names: frozenset[str],
    pool: GpuPool,
    hung: Mapping[str, str] = MappingProxyType({}),
) -> ServiceDiff:
    """Return what to do about one service, given all instances found of it and where its gateway routes.

    `hung` are the ids of instances that run and do nothing, each with how that was seen.
    """
    return _ServiceReconciler(desired, routes, foreign_names, pool, hung).run(found)


class _ServiceReconciler:
    def __init__(
        self,
        desired: Desired,
        routes: Mapping[str, Routes],
        foreign_names: frozenset[str],
        pool: GpuPool,
        hung: Mapping[str, str],
    ) -> None:
        self.desired = desired
        self.routes = routes
        self.foreign_names = foreign_names
        self.pool = pool
        self.hung = hung
        self.restarts = 0
        self.diff = ServiceDiff(notes=list(desired.notes))
        self.leftovers: list[tuple[Instance, str]] = []
        self.replacements: list[_Replacement] = []
        self.serving = 0
        """Slots in which what is wanted serves already."""
        self.held: list[Trial] = []
        """Canaries that serve and were not judged: what they stand in for is still there."""
        self.without_gpus: list[Launch] = []

    def run(self, found: list[Instance]) -> ServiceDiff:
        desired, diff = self.desired, self.diff
        budget, needed = desired.max_gpus, desired.replicas * desired.replica.gpus
        if budget is not None and needed > budget:
            message = f"needs {needed} GPUs, the budget allows {budget}"
            diff.refusals.append(Note(desired.service, message, "raise budget.gpus or lower scaling.min"))
            return diff
        slots: dict[int, list[Instance]] = defaultdict(list)
        for instance in found:
            slots[-1 if instance.role is Role.GATEWAY else instance.slot].append(instance)
        routed = self._gateway(slots.pop(-1, []))
        wanted = settings(desired.replica)
        wanted_fingerprint = fingerprint_of(wanted)
        for slot in range(desired.replicas):
            self._replica(slot, slots.pop(slot, []), wanted, wanted_fingerprint, routed)
        for slot in sorted(slots):
            cause = f"{desired.replicas} replicas wanted" if desired.replicas != 1 else "1 replica wanted"
            self.leftovers += [(instance, cause) for instance in slots[slot]]
        self._roll_out()
        if self.without_gpus:
            diff.refusals.append(self.pool.refusal(self.without_gpus, desired))
        self._remove_leftovers()
        self._unroute(found, routed)
        return diff

    def _gateway(self, candidates: list[Instance]) -> frozenset[str]:
        """Plan the gateway and return the workers it routes to once wave 0 is done."""
        launch = self.desired.gateway
        wanted = settings(launch)
        slot = choose(candidates, launch, wanted, fingerprint_of(wanted))
        if slot.kept is None and not self._name_is_free(launch):
            return frozenset()
        if slot.kept is None and slot.others:
            old, *rest = slot.others
            self.leftovers += [(instance, "duplicate") for instance in rest]
            changed = field_changes(old, launch, wanted)
            impact = "the endpoint is down for a moment" if old.state is State.RUNNING else ""
            # Two gateways cannot listen on one port.
            self._add(
                Verb.REPLACE, GATEWAY_WAVE, "settings changed", launch=launch, old=old, changes=changed,
                stop_first=True, impact=impact,
            )  # fmt: skip
            return frozenset()
        self.leftovers += [(instance, "duplicate") for instance in slot.others]
        if slot.kept is None:
            self._create(launch, GATEWAY_WAVE)
            return frozenset()
        if slot.kept.state is not State.RUNNING:
            self._add(Verb.START, GATEWAY_WAVE, _not_running(slot.kept), launch=launch, new=slot.kept)
            return frozenset()
        routed = self.routes.get(slot.kept.id)
        if isinstance(routed, frozenset):
            return routed
        self._add(Verb.START, GATEWAY_WAVE, "does not listen yet", launch=launch, new=slot.kept)
        return frozenset()

    def _replica(
        self,
        slot: int,
        candidates: list[Instance],
        wanted: Settings,
        wanted_fingerprint: str,
        routed: frozenset[str],
    ) -> None:
        launch = self.desired.replica.place(slot=slot)
        found = choose(candidates, launch, wanted, wanted_fingerprint)
        if found.kept is None and not self._name_is_free(launch):
            return
        if found.kept is None and not found.others:
            self._create(launch, CREATE_WAVE)
            return
        if found.kept is None:
            old, *rest = found.others
            self.leftovers += [(instance, "duplicate") for instance in rest]
            self.replacements.append(_Replacement(launch, old, field_changes(old, launch, wanted)))
            return
        kept = found.kept
        serves = kept.state is State.RUNNING and kept.worker_url in routed
        if serves:
            self.serving += 1
            self._replaced(launch.place(devices=kept.devices), kept, found.others)
            if kept.id in self.hung:
                self._restart(launch.place(devices=kept.devices), kept)
            elif kept.health is Health.UNHEALTHY:
                hint = f"see `enova logs {kept.target}`"
                self.diff.notes.append(
                    Note(self.desired.service, f"{kept.target} is unhealthy: {kept.detail}", hint)
                )
            return
        launch = launch.place(devices=kept.devices)
        if found.others:
            old, *rest = found.others
            self.leftovers += [(instance, "duplicate") for instance in rest]
            changed = field_changes(old, launch, wanted)
            cause = (
                "settings changed, its replacement is not serving yet" if changed else "duplicate, none serves yet"
            )
            self._add(Verb.REPLACE, REPLACE_WAVE, cause, launch=launch, new=kept, old=old, changes=changed)
        elif kept.state is not State.RUNNING:
            self._add(Verb.START, CREATE_WAVE, _not_running(kept), launch=launch, new=kept)
        else:
            starting = kept.health is not Health.HEALTHY
            cause = "still starting" if starting else "the gateway does not route to it"
            self._add(Verb.ROUTE, CREATE_WAVE, cause, launch=launch, new=kept)

    def _replaced(self, launch: Launch, kept: Instance, others: tuple[Instance, ...]) -> None:
        """Of what a canary stands in for, the best stays until it is judged."""
        if self.desired.rollout.canary and others and others[0].state is State.EXITED:
            self.held.append(Trial(launch, others[0]))
            others = others[1:]
        self.leftovers += [(instance, f"replaced by {kept.name}") for instance in others]

    def _restart(self, launch: Launch, hung: Instance) -> None:
        """One after the other: should all be thought to hang, the others serve on if they do not."""
        wave = REPLACE_WAVE + self.restarts
        self.restarts += 1
        self._add(Verb.RESTART, wave, f"hangs: {self.hung[hung.id]}", launch=launch, new=hung)

    def _create(self, launch: Launch, wave: int) -> None:
        devices = self.pool.take(launch.gpus, self.desired)
        if devices is None:
            self.without_gpus.append(launch)
            return
        self._add(Verb.CREATE, wave, "not found", launch=launch.place(devices=devices))

    def _name_is_free(self, launch: Launch) -> bool:
        """Refuse what could not be created, above all before something that serves is stopped for it."""
        name = instance_name(launch)
        if name not in self.foreign_names:
            return True
        message = f"the name {name} is taken by something Enova does not own"
        self.diff.refusals.append(
            Note(self.desired.service, message, "rename or remove it, or rename the service")
        )
        return False

    def _roll_out(self) -> None:
        """Replace what is not as wanted: all of it, or a canary first, and the rest once that was judged."""
        canary, replicas, left = self.desired.rollout.canary, self.desired.replicas, self.replacements
        more = max(0, canary.count(replicas) - self.serving) if canary else 0
        first, rest = left[:more], left[more:]
        if canary is None or not rest or not (first or self.held):
            if canary and left and replicas == 1:
                message = "1 replica: there is none to compare a canary with"
                self.diff.notes.append(Note(self.desired.service, message))
            self.leftovers += [(trial.old, "its canary was judged") for trial in self.held]
            self._replace(left, REPLACE_WAVE)
            return
        self._replace(first, REPLACE_WAVE, held=True)
        added = [one for one in self.diff.actions if one.held and one.launch and one.old]
        trials = [*self.held, *(Trial(one.launch, one.old) for one in added if one.launch and one.old)]
        wave = max([REPLACE_WAVE, *(one.wave + 1 for one in added)])
        share = f"{len(trials)} of {replicas} replicas for {Duration(canary.duration_s)}"
        self._add(Verb.JUDGE, wave, f"on trial: {share}, beside {len(rest)} old", trials=tuple(trials))
        self._replace(rest, wave + 1)

    def _replace(self, items: Sequence[_Replacement], first_wave: int, *, held: bool = False) -> None:
        """Spread replacements over waves, new one first wherever there is room for both."""
        policy, replicas = self.desired.rollout, self.desired.replicas
        surged = stopped = 0
        # GPUs come free only when the wave that takes their replica down is through, and only to this service.
        freed: list[tuple[int, tuple[str, ...]]] = []
        for item in items:
            alive = item.old.state is State.RUNNING
            if alive and policy.surge:
                wave = first_wave + surged // policy.surge
                room = self.pool.take(item.launch.gpus, self.desired)
                if room is None and freed:
                    freed_in, room = freed.pop(0)
                    wave = max(wave, freed_in + 1)
                if room is not None:
                    surged += 1
                    # What is held keeps its own: it may come back.
                    if len(item.old.devices) == item.launch.gpus > 0 and not held:
                        freed.append((wave, item.old.devices))
                    self._swap(item, wave, room, held=held and alive)
                    continue
            devices = self.pool.take(item.launch.gpus, self.desired, also=item.old.devices)
            if devices is None:
                self.without_gpus.append(item.launch)
                continue
            wave = first_wave + stopped // max(1, policy.max_unavailable) if alive else CREATE_WAVE
            stopped += alive
            why = "no spare GPU: " if policy.surge else ""
            serving = "no replica serves" if replicas == 1 else f"{replicas - 1} of {replicas} replicas serve"
            impact = f"{why}{serving} until the new one is ready" if alive else ""
            self._swap(item, wave, devices, stop_first=True, impact=impact, held=held and alive)

    def _swap(
        self,
        item: _Replacement,
        wave: int,
        devices: tuple[str, ...],
        *,
        stop_first: bool = False,
        impact: str = "",
        held: bool = False,
    ) -> None:
        self._add(
            Verb.REPLACE,
            wave,
            "settings changed",
            launch=item.launch.place(devices=devices),
            old=item.old,
            changes=item.changes,
            stop_first=stop_first,
            impact=impact,
            held=held,
        )

    def _remove_leftovers(self) -> None:
        last = max([REPLACE_WAVE, *(action.wave for action in self.diff.actions)]) + 1
        for instance, cause in self.leftovers:
            wave = last if instance.state is State.RUNNING else GATEWAY_WAVE
            self._add(Verb.REMOVE, wave, cause, old=instance)

    def _unroute(self, found: list[Instance], routed: frozenset[str]) -> None:
        for url in sorted(routed - {instance.worker_url for instance in found}):
            self._add(
                Verb.UNROUTE, CREATE_WAVE, f"routes to {url}, where nothing of this service runs", worker_url=url
            )

    def _add(
        self,
        verb: Verb,
        wave: int,
        cause: str,
        *,
        launch: Launch | None = None,
        new: Instance | None = None,
        old: Instance | None = None,
        changes: tuple[Change, ...] = (),
        stop_first: bool = False,
        impact: str = "",
        worker_url: str | None = None,
        held: bool = False,
        trials: tuple[Trial, ...] = (),
    ) -> None:
        other = "canary" if verb is Verb.JUDGE else "gateway"
        target = launch.target if launch else old.target if old else f"{self.desired.service}@{other}"
        action = Action(
            verb=verb, target=target, service=self.desired.service, cause=cause, wave=wave, changes=changes,
            launch=launch, new=new, old=old, stop_first=stop_first, impact=impact, worker_url=worker_url,
            held=held, trials=trials, policy=self.desired.rollout,
        )  # fmt: skip
        self.diff.actions.append(action)


def _not_running(instance: Instance) -> str:
    if instance.state is State.CREATED:
        return "created but never started"
    code = "" if instance.exit_code is None else f" with code {instance.exit_code}"
    return f"exited{code}"
