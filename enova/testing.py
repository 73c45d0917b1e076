"""A world in memory, for Enova's tests and for yours: no Docker, no processes, no network, no waiting.

`MemoryHost` is what outlives Enova; runtimes made on the same host see the same instances, as a restarted Enova
would. The runtime contract suite runs on it as on the real ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from enova.adapters.facts import gpu_cards
from enova.adapters.metrics import look_at
from enova.core.devices import named
from enova.core.fingerprint import fingerprint, instance_name, settings
from enova.core.launch import Launch, Role, SecretRef
from enova.core.ledger.window import Look as MetricsLook
from enova.core.observed import Gpu, Health, Instance, Look, Routes, State, Unknown
from enova.core.runtime import Report
from enova.errors import ApplyError, ObserveError
from enova.world import World

ENDINGS_POLL_S = 0.01


@dataclass(slots=True)
class MemoryHost:
    """The state of a machine that exists in memory only. Change it to stage what a test needs."""

    instances: dict[tuple[str, str], Instance] = field(default_factory=dict)
    """(runtime, id) -> instance."""
    routes: dict[str, set[str]] = field(default_factory=dict)
    """Gateway URL -> worker URLs."""
    foreign_names: set[str] = field(default_factory=set)
    gpus: tuple[Gpu, ...] | Unknown = ()
    secrets: dict[str, str] = field(default_factory=dict)
    """What `env NAME` and `file PATH` references resolve to, by name or path."""
    unreachable: set[str] = field(default_factory=set)
    """Runtimes that cannot be looked at."""
    failing: set[str] = field(default_factory=set)
    """Targets (`chat#0`) that exit as soon as they are started."""
    silent: set[str] = field(default_factory=set)
    """Targets that start and become healthy but generate nothing."""
    hung: set[str] = field(default_factory=set)
    """Targets that run and answer nothing. Starting one anew mends it."""
    crashing: dict[str, float] = field(default_factory=dict)
    """Image -> seconds after its start at which what runs it exits."""
    started_s: dict[str, float] = field(default_factory=dict)
    """Instance name -> when it was last started."""
    busy: dict[str, int] = field(default_factory=dict)
    """Target -> requests in flight."""
    metrics: dict[str, Callable[[float], MetricsLook]] = field(default_factory=dict)
    """Target -> what its metrics say at a time."""
    writes: list[str] = field(default_factory=list)
    """Every call that changed something, in order: `create chat#0`."""
    time_s: float = 0.0
    """What its clock shows; waiting moves it on at once."""

    def pause(self, seconds: float) -> None:
        """Let time pass without waiting for it."""
        self.time_s += seconds

    def at(self, url: str) -> Instance | None:
        """Return the running instance that answers at a URL."""
        running = (i for i in self.instances.values() if i.state is State.RUNNING)
        return next((i for i in running if i.url == url), None)


@dataclass(slots=True)
class MemoryRuntime:
    """A Runtime whose instances live on a MemoryHost."""

    host: MemoryHost
    name: str = "memory"

    def look(self) -> Look:
        self._reach()
        ours = tuple(i for (runtime, _), i in self.host.instances.items() if runtime == self.name)
        return Look(ours, frozenset(self.host.foreign_names))

    def get(self, instance_id: str) -> Instance | None:
        self._reach()
        instance = self.host.instances.get((self.name, instance_id))
        if instance is not None and self._has_crashed(instance):
            self._put(instance, state=State.EXITED, health=Health.UNKNOWN, exit_code=1, url=None, worker_url=None)
        return self.host.instances.get((self.name, instance_id))

    def create(self, launch: Launch, secrets: Mapping[str, str], report: Report) -> str:
        self._reach()
        name = instance_name(launch)
        if name in self.host.foreign_names:
            raise ApplyError(f"the name {name} is taken by something Enova does not own")
        if (self.name, name) in self.host.instances:
            return name
        report(f"creating {name}")
        self.host.writes.append(f"create {launch.target}")
        self.host.instances[self.name, name] = Instance(
            id=name,
            name=name,
            runtime=self.name,
            service=launch.service,
            role=launch.role,
            slot=launch.slot,
            fingerprint=fingerprint(launch),
            settings=settings(launch),
            state=State.CREATED,
            devices=launch.devices,
            image=launch.image,
        )
        return name

    def start(self, instance_id: str) -> None:
        instance = self.get(instance_id)
        if instance is None:
            raise ApplyError(f"{instance_id} is gone")
        if instance.state is State.RUNNING:
            return
        self.host.writes.append(f"start {instance.target}")
        if instance.target in self.host.failing:
            self._put(instance, state=State.EXITED, exit_code=1, url=None, worker_url=None)
            return
        url = f"memory://{self.name}/{instance.name}"
        self.host.hung.discard(instance.target)
        self.host.started_s[instance.name] = self.host.time_s
        self._put(instance, state=State.RUNNING, health=Health.HEALTHY, url=url, worker_url=url, exit_code=None)
        if instance.role is Role.GATEWAY:
            self._put(self.host.instances[self.name, instance_id], metrics_url=f"{url}/metrics")
            self.host.routes[url] = set()

    def stop(self, instance_id: str, timeout_s: float) -> None:
        instance = self.get(instance_id)
        if instance is None or instance.state is not State.RUNNING:
            return
        self.host.writes.append(f"stop {instance.target}")
        self.host.routes.pop(instance.url or "", None)
        self._put(instance, state=State.EXITED, health=Health.UNKNOWN, exit_code=0, url=None, worker_url=None)

    def remove(self, instance_id: str) -> None:
        instance = self.get(instance_id)
        if instance is None:
            return
        self.stop(instance_id, 0)
        self.host.writes.append(f"remove {instance.target}")
        del self.host.instances[self.name, instance_id]

    def remember_routes(self, instance_id: str, worker_urls: frozenset[str]) -> None:
        self._reach()

    def endings(self, stopped: Callable[[], bool]) -> Iterator[str]:
        before = self._running()
        while not stopped():
            time.sleep(ENDINGS_POLL_S)
            running = self._running()
            yield from sorted(before - running)
            before = running

    def _running(self) -> set[str]:
        self._reach()
        found = list(self.host.instances.values())
        return {i.name for i in found if i.runtime == self.name and i.state is State.RUNNING}

    def logs(self, instance_id: str, *, tail: int | None, follow: bool) -> Iterator[str]:
        instance = self.get(instance_id)
        if instance is None:
            raise ApplyError(f"{instance_id} is gone")
        yield f"{instance.target} is {instance.state}"

    def _has_crashed(self, instance: Instance) -> bool:
        after_s = self.host.crashing.get(instance.image or "")
        if after_s is None or instance.state is not State.RUNNING:
            return False
        return self.host.time_s - self.host.started_s[instance.name] >= after_s

    def _reach(self) -> None:
        if self.name in self.host.unreachable:
            raise ObserveError(f"the {self.name} runtime cannot be reached")

    def _put(self, instance: Instance, **changes: object) -> None:
        self.host.instances[self.name, instance.id] = replace(instance, **changes)  # type: ignore[arg-type]


@dataclass(slots=True)
class MemoryGateway:
    """The router's API for gateways on a MemoryHost."""

    host: MemoryHost

    def routes(self, url: str) -> Routes:
        workers = self.host.routes.get(url)
        return None if workers is None else frozenset(workers)

    def add(self, url: str, worker_url: str) -> None:
        if self.host.at(worker_url) is None:
            raise ApplyError(f"no worker answers at {worker_url}")
        if worker_url not in self.host.routes[url]:
            self.host.writes.append(f"route {worker_url.removeprefix('memory://')}")
            self.host.routes[url].add(worker_url)

    def remove(self, url: str, worker_url: str) -> None:
        if worker_url in self.host.routes[url]:
            self.host.writes.append(f"unroute {worker_url.removeprefix('memory://')}")
            self.host.routes[url].discard(worker_url)


@dataclass(slots=True)
class MemoryEngine:
    """Replicas on a MemoryHost, as they answer over HTTP."""

    host: MemoryHost

    def health(self, url: str) -> Health:
        instance = self.host.at(url)
        if instance is None:
            return Health.STARTING
        return Health.UNHEALTHY if instance.target in self.host.hung else Health.HEALTHY

    def probe(self, url: str, *, prompt: str, max_tokens: int, timeout_s: float, api_key: str | None) -> None:
        instance = self.host.at(url)
        if instance is None or instance.target in self.host.silent:
            raise ApplyError(f"{url} generated nothing")

    def in_flight(self, url: str) -> int | None:
        instance = self.host.at(url)
        return None if instance is None else self.host.busy.get(instance.target, 0)


def memory_world(host: MemoryHost, *runtimes: str) -> World:
    """Return a World on `host` with the named runtimes, `docker` and `process` unless told otherwise."""
    return World(
        runtimes={name: MemoryRuntime(host, name) for name in runtimes or ("docker", "process")},
        gateway=MemoryGateway(host),
        engine=MemoryEngine(host),
        metrics=lambda url, now: _metrics(host, url, now),
        gpus=lambda: host.gpus if isinstance(host.gpus, Unknown) else named(host.gpus, gpu_cards()),
        read_secret=lambda ref: _secret(host, ref),
        now=lambda: host.time_s,
        pause=host.pause,
    )


def _metrics(host: MemoryHost, url: str, now: Callable[[], float]) -> MetricsLook:
    """What a test staged of a replica; one that really listens somewhere is asked."""
    instance = host.at(url)
    staged = host.metrics.get(instance.target) if instance else None
    return look_at(url, now) if staged is None else staged(host.time_s)


def _secret(host: MemoryHost, ref: SecretRef) -> str:
    value = host.secrets.get(ref.env or ref.file or "")
    if value is None:
        raise ApplyError(f"secret {ref} is not set")
    return value
