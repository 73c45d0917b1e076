"""What it takes to start one replica or one gateway, as a pure description.

A Launch says everything a runtime needs. Its *settings* are the part whose change must restart it; slot, host
port and devices are where it happens to sit, and stay out of the fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

ArgValue = str | int | float | bool | tuple[str, ...]


API_KEY = "VLLM_API_KEY"
"""Environment variable an engine takes its API key from; who probes it needs the same key."""


class Role(StrEnum):
    """What an instance is for."""

    REPLICA = "replica"
    GATEWAY = "gateway"


class Kind(StrEnum):
    """Which program an instance runs."""

    VLLM = "vllm"
    EMULATED = "emulated"
    ROUTER = "router"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret's value is found when a replica is started. Exactly one of the two is set."""

    env: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return f"env {self.env}" if self.env else f"file {self.file}"


@dataclass(frozen=True, slots=True)
class Mount:
    """A host folder (absolute path) or a named volume, seen by the engine at `target`."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything needed to start one instance. Replace, never mutate."""

    service: str
    role: Role
    runtime: str
    slot: int = 0
    host: str = "127.0.0.1"
    """Host address to listen on. The runtime adds host and port to the command line, `args` never hold them."""
    port: int | None = None
    """Host port to listen on; None lets the runtime choose a free one."""
    metrics_port: int | None = None
    """Host port for a metrics endpoint of its own (the router has one); None lets the runtime choose."""
    devices: tuple[str, ...] = ()
    """GPU ids given to this instance, `gpus` of them."""

    kind: Kind
    image: str | None = None
    model: str = ""
    """What the engine loads: a hub id, or a folder as the engine sees it."""
    args: Mapping[str, ArgValue] = field(default_factory=dict)
    """Engine or router arguments under their own names, with underscores."""
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretRef] = field(default_factory=dict)
    """Environment variable -> where its value comes from. Values never enter a Launch."""
    mounts: tuple[Mount, ...] = ()
    shm_bytes: int = 0
    gpus: int = 0

    @property
    def target(self) -> str:
        """Return the name people see: `chat#0`, `chat@gateway`."""
        return f"{self.service}@gateway" if self.role is Role.GATEWAY else f"{self.service}#{self.slot}"

    def place(self, *, slot: int | None = None, devices: tuple[str, ...] | None = None) -> Launch:
        """Return this launch in another slot or on other devices; the fingerprint stays the same."""
        return replace(
            self,
            slot=self.slot if slot is None else slot,
            devices=self.devices if devices is None else devices,
        )
