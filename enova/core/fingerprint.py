"""One fingerprint per launch, computed here and nowhere else, and the diff that explains a change of it.

Two rules keep an upgrade of Enova from restarting every model:
settings equal to their default are left out, so a new field with a default changes nothing; and what runs carries
its settings as canonical JSON beside the fingerprint, so that a difference can be shown field by field.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from enova.core.launch import Launch, Role

FINGERPRINT_VERSION = "v1"

Settings = Mapping[str, Any]
"""Flat `key.path -> JSON scalar or list of strings`, keys as a user would write them."""


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One field that differs. None means the field is unset on that side."""

    field: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.old)} -> {_shown(self.new)}"


def settings(launch: Launch) -> dict[str, Any]:
    """Return what must be equal for a running instance to count as this launch.

    Keys are the spec's own (`engine.max_num_seqs`, `gateway.policy`), sorted; unset fields are absent.
    """
    section = "gateway" if launch.role is Role.GATEWAY else "engine"
    flat: dict[str, Any] = {f"{section}.kind": str(launch.kind)}
    if launch.image:
        flat[f"{section}.image"] = launch.image
    if launch.model:
        flat["model.id"] = launch.model
    for name, value in launch.args.items():
        flat[f"{section}.{name}"] = list(value) if isinstance(value, tuple) else value
    flat |= {f"{section}.env.{name}": value for name, value in launch.env.items()}
    flat |= {f"{section}.secrets.{name}": str(ref) for name, ref in launch.secrets.items()}
    for mount in launch.mounts:
        flat[f"{section}.mounts.{mount.target}"] = mount.source + ("" if mount.read_only else " (writable)")
    if launch.shm_bytes:
        flat[f"{section}.shm_bytes"] = launch.shm_bytes
    if launch.gpus:
        flat[f"{section}.gpus"] = launch.gpus
    if launch.role is Role.GATEWAY:
        # A gateway's address is the user's choice, a replica's is wherever there was room.
        flat |= {"gateway.host": launch.host, "gateway.port": launch.port}
        flat |= {"gateway.metrics_port": launch.metrics_port} if launch.metrics_port else {}
    return dict(sorted(flat.items()))


def fingerprint(launch: Launch) -> str:
    """Return `v1:` and 16 hex digits over the launch's settings."""
    return fingerprint_of(settings(launch))


def fingerprint_of(flat: Settings) -> str:
    """Return the fingerprint of settings already flattened."""
    return f"{FINGERPRINT_VERSION}:{hashlib.sha256(canonical(flat).encode()).hexdigest()[:16]}"


def canonical(flat: Settings) -> str:
    """Return settings as JSON whose bytes depend on their values only."""
    return json.dumps(flat, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def instance_name(launch: Launch) -> str:
    """Return the deterministic name of an instance: `enova-chat-0-1f2e3d4c`.

    It holds part of the fingerprint, so that an old and a new replica of one slot can run side by side and a
    second attempt to create the same one finds the first.
    """
    slot = "gateway" if launch.role is Role.GATEWAY else str(launch.slot)
    return f"enova-{launch.service}-{slot}-{fingerprint(launch).removeprefix(FINGERPRINT_VERSION + ':')[:8]}"


def changes(old: Settings, new: Settings) -> tuple[Change, ...]:
    """Return the fields that differ, sorted by name."""
    return tuple(
        Change(key, old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)
    )


def _shown(value: Any) -> str:
    return "(unset)" if value is None else value if isinstance(value, str) else json.dumps(value)
