"""Follows the traffic of services: what goes on in them, and how many replicas that takes.

What it says is carried out by the loop, like any other change. What it cannot see changes nothing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial

from enova.advise import Adviser, adviser_of
from enova.core.control.autoscaler import Autoscaler
from enova.core.control.decision import Decision
from enova.core.control.history import DAYS, History, rates_of
from enova.core.control.lately import Lately
from enova.core.control.plant import Plant
from enova.core.control.sight import ReplicaSight, Sight
from enova.core.fingerprint import fingerprint
from enova.core.launch import Role
from enova.core.launches import replica_launch
from enova.core.metrics.vitals import WINDOWS_S, ReplicaVitals
from enova.core.observed import Health, Instance, Observed, State, Unknown
from enova.core.resolve import Resolved
from enova.core.simulate.promises import promises_of, targets_of
from enova.core.simulate.replica import Stage
from enova.errors import EnovaError
from enova.knowledge import Knowledge
from enova.observe import observe
from enova.plant import plant_for
from enova.watch.live import Live
from enova.world import World

INTERVAL_S = Autoscaler.interval_s
MET_S = 900.0
"""Over which it is told how many answers met the SLO."""
STARTS = 3
"""The last so many of a service are remembered, and the longest of them counts."""
COMPUTE_EVERY_S = 10.0
"""Between tries to find out the capacity of what has just started, or cannot be told."""


@dataclass(slots=True)
class _Kept:
    """A service whose traffic is followed."""

    resolved: Resolved
    key: str
    plant: Plant | Unknown
    autoscaler: Autoscaler | None = None
    decision: Decision | None = None
    lately: Lately | None = None
    unseen: str = ""
    """Why the last look could not tell enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """What there is to say of a service whose traffic is followed."""

    decision: Decision | None
    arrived_per_s: float | None
    """Over the last minute."""
    met: tuple[float, float] | None
    """Answers within the SLO and all of them, over the last quarter of an hour."""
    trouble: str = ""
    """Why nothing is decided."""

    @property
    def words(self) -> str:
        """Return it in one line."""
        if self.trouble:
            return f"held: {self.trouble}"
        if self.decision is None:
            return "no look was made yet"
        rate = "unknown" if self.arrived_per_s is None else f"{self.arrived_per_s:.2f} requests/s"
        limited = f", limited: {self.decision.limited_by}" if self.decision.limited_by else ""
        wanted = self.decision.replicas
        return f"{rate} come; {wanted} replica{'s' if wanted != 1 else ''}{limited}: {self.decision.reason}"


@dataclass(slots=True)
class Scaler:
    """Keeps an autoscaler for every service that asks for one."""

    world: World
    knowledge: Callable[[], Knowledge]
    now: Callable[[], float]
    """Unix time, for scheduled minima."""
    live: Callable[[], Live]
    """What goes on."""
    wake: Callable[[], None]
    """Called where another number of replicas is wanted."""
    say: Callable[[str], None]
    capacity: Callable[[Resolved, Adviser, Observed], Plant | Unknown] = plant_for
    """Tells the plant of a service that runs."""
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _starting: dict[str, float] = field(default_factory=dict)
    """When a replica that has yet to serve was first seen, by its id."""
    _took_s: dict[str, deque[float]] = field(default_factory=dict)
    """How long the last starts of a service took."""

    def keep(self, resolved: Resolved) -> None:
        """Follow a service as it is wanted now, if it asks for that."""
        name, service = resolved.service.name, resolved.service
        if service.scaling.mode == "off" or service.suspend:
            with self._lock:
                self._kept.pop(name, None)
            return
        key = f"{fingerprint(replica_launch(resolved))} {service.slo!r} {service.injection!r} {service.scaling!r}"
        with self._lock:
            if name not in self._kept or self._kept[name].key != key:
                self._kept[name] = _Kept(resolved, key, Unknown("its capacity is being computed"))

    def keep_only(self, names: Collection[str]) -> None:
        """Follow no others."""
        with self._lock:
            self._kept = {name: one for name, one in self._kept.items() if name in names}

    def wanted(self) -> dict[str, int]:
        """Return how many replicas there are to be, of services that are scaled."""
        with self._lock:
            return {
                name: one.decision.replicas
                for name, one in self._kept.items()
                if one.decision is not None and one.resolved.service.scaling.mode == "auto"
            }

    def why(self, name: str) -> str:
        """Return why another number of replicas is wanted than there is; empty if none is."""
        with self._lock:
            one = self._kept.get(name)
        decision = one.decision if one is not None else None
        return f"scaled: {decision.reason}" if decision is not None and decision.replicas != decision.up else ""

    def told(self) -> dict[str, Scaled]:
        """Return what there is to say of every service that is followed."""
        with self._lock:
            kept = dict(self._kept)
        return {
            name: Scaled(
                decision=one.decision,
                arrived_per_s=None if one.lately is None else _known(one.lately.vitals.arrived_over[WINDOWS_S[0]]),
                met=None if one.lately is None else one.lately.met(MET_S),
                trouble=one.plant.reason if isinstance(one.plant, Unknown) else one.unseen,
            )
            for name, one in kept.items()
        }

    def threads(self, quitting: threading.Event) -> list[threading.Thread]:
        """Start looking, and computing beside it, until told to end."""
        threads = [
            threading.Thread(target=self._again, args=(do, every_s, quitting), name=name, daemon=True)
            for name, do, every_s in (
                ("scaling", self.look, INTERVAL_S),
                ("capacity", self.compute, COMPUTE_EVERY_S),
            )
        ]
        for thread in threads:
            thread.start()
        return threads

    def _again(self, do: Callable[[], None], every_s: float, quitting: threading.Event) -> None:
        while not quitting.wait(every_s):
            try:
                do()
            except EnovaError as error:
                self.say(f"a look at the traffic failed: {error.message}")
            except Exception as error:  # noqa: BLE001 - the next look must be made all the same
                self.say(f"a look at the traffic failed: unexpected {type(error).__name__}: {error}")

    def look(self) -> None:
        """Look at all services that are followed, and decide."""
        with self._lock:
            kept = dict(self._kept)
        if not kept:
            return
        needed = {one.resolved.runtime for one in kept.values()}
        observed = observe(self.world, needed=needed, gpus=False, routes=False)
        at_s = self.world.now()
        self.live().see(observed)
        ours = [i for i in observed.instances() if i.service in kept and i.role is Role.REPLICA]
        self._time_starts([i for i in ours if i.state is State.RUNNING], at_s)
        changed = [
            self._decide(name, one, [i for i in ours if i.service == name], observed, at_s)
            for name, one in kept.items()
        ]
        if any(changed):
            self.wake()

    def compute(self) -> None:
        """Find out the capacity of services of which it is not known: seconds of work, so not within a look."""
        with self._lock:
            kept = {name: one for name, one in self._kept.items() if isinstance(one.plant, Unknown)}
        if not kept:
            return
        needed = {one.resolved.runtime for one in kept.values()}
        gpus = any(one.resolved.gpu for one in kept.values())
        observed = observe(self.world, needed=needed, gpus=gpus, routes=False)
        adviser = adviser_of(self.knowledge(), observed)
        for one in kept.values():
            one.plant = self.capacity(one.resolved, adviser, observed)
            if isinstance(one.plant, Plant):
                name = one.resolved.service.name
                minutes = self.live().recorded(name, self.now() - DAYS * 86_400)
                rates = [(minute.at_s, rate) for minute in minutes if (rate := minute.arrived_per_s) is not None]
                before = History(rates_of(rates, self.now()).tolist())
                one.autoscaler = Autoscaler(partial(self._plant, one), history=before)

    def _plant(self, one: _Kept, _: float) -> Plant:
        """Return the plant with the minimum of this time of day, and starts as long as they were of late."""
        assert isinstance(one.plant, Plant)  # noqa: S101 - there is an autoscaler only then
        fewest = one.resolved.service.scaling.fewest_at(datetime.fromtimestamp(self.now(), UTC))
        took_s = self._took_s.get(one.resolved.service.name)
        start_up_s = max(took_s) if took_s else one.plant.start_up_s
        return replace(one.plant, fewest=fewest, start_up_s=max(start_up_s, INTERVAL_S))

    def _decide(self, name: str, one: _Kept, ours: list[Instance], observed: Observed, at_s: float) -> bool:
        """Take in a look at one service; return whether another number of replicas is wanted than before."""
        runtime = observed.runtimes.get(one.resolved.runtime)
        if runtime is None or isinstance(runtime, Unknown):
            one.unseen = runtime.reason if runtime else "its runtime was not seen"
            return False
        live = self.live()
        vitals = live.vitals(name)
        targets_s = targets_of(promises_of(one.resolved.service.slo))
        one.lately = Lately(vitals, partial(live.histogram, name), targets_s)
        one.unseen = vitals.gateway_seen_s.reason if isinstance(vitals.gateway_seen_s, Unknown) else ""
        if one.autoscaler is None:
            return False
        replicas = tuple(_replica(instance, vitals.replicas.get(instance.target)) for instance in ours)
        sight = Sight(at_s=at_s, replicas=replicas, held=0, seen=one.lately)
        before = one.decision.replicas if one.decision else None
        wanted = one.autoscaler.decide(sight)
        one.decision = one.autoscaler.decision
        if wanted is None or wanted == before:
            return False
        advisory = one.resolved.service.scaling.mode != "auto"
        reason = one.decision.reason if one.decision else ""
        self.say(f"{name}: {'would scale' if advisory else 'scale'} {sight.up} to {wanted}: {reason}")
        return not advisory

    def _time_starts(self, replicas: list[Instance], at_s: float) -> None:
        """Take in how long what serves now took to start. What served when it was first seen tells nothing."""
        before, self._starting = self._starting, {}
        for instance in replicas:
            seen_s = before.get(instance.id)
            if not _serves(instance):
                self._starting[instance.id] = at_s if seen_s is None else seen_s
            elif seen_s is not None:
                self._took_s.setdefault(instance.service, deque(maxlen=STARTS)).append(at_s - seen_s)


def _serves(instance: Instance) -> bool:
    return instance.state is State.RUNNING and instance.health is Health.HEALTHY


def _replica(instance: Instance, vitals: ReplicaVitals | None) -> ReplicaSight:
    up = Stage.READY if _serves(instance) else Stage.STARTING
    running = None if vitals is None else _known(vitals.running)
    waiting = None if vitals is None else _known(vitals.waiting)
    return ReplicaSight(
        number=instance.slot,
        stage=Stage.DOWN if instance.state is State.EXITED else up,
        in_flight=None if running is None or waiting is None else running + waiting,
        running=running,
        waiting=waiting,
        kv_use=None if vitals is None else _known(vitals.kv_use),
    )


def _known(value: float | Unknown) -> float | None:
    return None if isinstance(value, Unknown) else value
