"""One frozen snapshot of what there is. Read losslessly; choosing is the reconciler's work.

Three outcomes for every look: a value, absent (an empty tuple, None), and Unknown. Unknown never creates,
removes or scales anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from enova.core.launch import Role


class State(StrEnum):
    """What the runtime says about an instance's process."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


class Health(StrEnum):
    """What is known of an instance's readiness to serve."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Could not look; says why, in words a user can act on."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One container or process that carries Enova's labels."""

    id: str
    """What the runtime calls it."""
    name: str
    runtime: str
    service: str
    role: Role
    slot: int
    fingerprint: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings it was started with, as recorded on it (enova.core.fingerprint.settings)."""
    state: State
    health: Health = Health.UNKNOWN
    devices: tuple[str, ...] = ()
    url: str | None = None
    """Base URL as this host reaches it, for health checks and probes; None while it has no port."""
    worker_url: str | None = None
    """Base URL as its service's gateway reaches it."""
    metrics_url: str | None = None
    """Where it serves Prometheus metrics, if not under `url`."""
    image: str | None = None
    created_at: float = 0.0
    """Unix time, seconds."""
    exit_code: int | None = None
    restarts: int | None = None
    """How often the runtime restarted it by itself; None where that is not known."""
    detail: str = ""
    """The runtime's own words on the state ("Exited (137) 3 minutes ago")."""

    @property
    def target(self) -> str:
        """Return the name people see: `chat#0`, `chat@gateway`."""
        return f"{self.service}@gateway" if self.role is Role.GATEWAY else f"{self.service}#{self.slot}"


@dataclass(frozen=True, slots=True)
class Look:
    """All that one runtime showed in one look."""

    instances: tuple[Instance, ...] = ()
    foreign_names: frozenset[str] = frozenset()
    """Names taken by things that are not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuProcess:
    """A process, anybody's, that holds memory of a GPU."""

    pid: int
    used_bytes: int | None = None
    """None where the driver does not tell."""
    program: str | None = None
    """Its name only, never its arguments; None where the system does not tell."""


class LinkPath(StrEnum):
    """What lies between two GPUs of a host on PCIe, nearest first."""

    BOARD = "one board"
    SWITCH = "one PCIe switch"
    SWITCHES = "PCIe switches"
    HOST_BRIDGE = "one host bridge"
    NODE = "one NUMA node"
    SYSTEM = "across NUMA nodes"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuLink:
    """How a GPU reaches another one of its host. None: the driver does not tell."""

    to: int
    """Index of the other GPU."""
    nvlink: bool | None = None
    peer_to_peer: bool | None = None
    """Whether it reads the memory of the other directly, over whatever link."""
    path: LinkPath | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU of this host."""

    id: str
    """NVML UUID."""
    index: int
    name: str
    also_called: tuple[str, ...] = ()
    """Names its card has among Enova's facts; none where there is no such card."""
    memory_bytes: int | None
    """None where the driver does not tell, as of a GPU that shares the memory of its host."""
    used_bytes: int | None = 0
    processes: tuple[GpuProcess, ...] | Unknown = ()
    """By pid. Those of other containers may not be seen from inside one, while their memory is."""
    links: tuple[GpuLink, ...] = ()
    """One to each other GPU of the host, by its index."""


Routes = frozenset[str] | Unknown | None
"""The worker URLs a gateway routes to; None when the gateway does not listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One snapshot of reality."""

    runtimes: Mapping[str, Look | Unknown] = field(default_factory=dict)
    gpus: tuple[Gpu, ...] | Unknown = ()
    routes: Mapping[str, Routes] = field(default_factory=dict)
    """Gateway instance id -> what it routes to."""

    def instances(self) -> tuple[Instance, ...]:
        """Return every instance of every runtime that could be looked at, sorted by target and name."""
        seen = (i for look in self.runtimes.values() if isinstance(look, Look) for i in look.instances)
        return tuple(sorted(seen, key=lambda i: (i.service, i.role, i.slot, i.name)))
