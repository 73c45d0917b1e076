"""An instance's folder: what is kept there, and how it comes and goes without ever being half there.

    launch.json   what it is and how to start it; no secrets
    secrets.json  the values of its secrets
    lock          held while it lives; there from the first start on (shim.py)
    log           standard output and error

Folders are 0700 and files 0600. Secrets have to be kept, because a later Enova, which may not have them in its
environment, must be able to start the instance again; in a file of their own, so that launch.json may be shown.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from enova.adapters.processes.alive import holder
from enova.core.fingerprint import fingerprint, settings
from enova.core.launch import ArgValue, Kind, Launch, Role

LAUNCH, SECRETS, LOCK, LOG = "launch.json", "secrets.json", "lock", "log"
UNFINISHED = ".new-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What launch.json holds."""

    service: str
    role: Role
    slot: int
    fingerprint: str
    settings: Mapping[str, Any]
    kind: Kind
    model: str
    args: Mapping[str, ArgValue]
    env: Mapping[str, str]
    devices: tuple[str, ...]
    host: str
    port: int
    port_is_fixed: bool
    """Whether the launch asked for this port; if not, another one is as good."""
    metrics_port: int | None
    metrics_port_is_fixed: bool
    created_at: float

    @property
    def target(self) -> str:
        """Return the name people see."""
        return f"{self.service}@gateway" if self.role is Role.GATEWAY else f"{self.service}#{self.slot}"


def record_of(launch: Launch, *, port: int, metrics_port: int | None, now: float) -> Record:
    """Return what is kept of a launch."""
    return Record(
        service=launch.service,
        role=launch.role,
        slot=launch.slot,
        fingerprint=fingerprint(launch),
        settings=settings(launch),
        kind=launch.kind,
        model=launch.model,
        args=launch.args,
        env=launch.env,
        devices=launch.devices,
        host=launch.host,
        port=port,
        port_is_fixed=launch.port is not None,
        metrics_port=metrics_port,
        metrics_port_is_fixed=launch.metrics_port is not None,
        created_at=now,
    )


def read_record(folder: Path) -> Record | None:
    """Return the record in a folder, None if there is none or it cannot be understood."""
    try:
        raw = json.loads((folder / LAUNCH).read_text(encoding="utf-8"))
        known = {name: raw[name] for name in Record.__dataclass_fields__}
        args = {name: tuple(value) if isinstance(value, list) else value for name, value in raw["args"].items()}
        known |= {
            "role": Role(raw["role"]),
            "kind": Kind(raw["kind"]),
            "args": args,
            "devices": tuple(raw["devices"]),
            "port": int(raw["port"]),
        }
        return Record(**known)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, AttributeError):
        return None


def read_secrets(folder: Path) -> dict[str, str]:
    """Return the secrets kept in a folder."""
    return cast("dict[str, str]", json.loads((folder / SECRETS).read_text(encoding="utf-8")))


def write_folder(folder: Path, record: Record, secrets: Mapping[str, str]) -> None:
    """Make an instance's folder. It appears whole, or not at all."""
    unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.parent))
    write_record(unfinished, record)
    _write(unfinished / SECRETS, dict(secrets))
    unfinished.rename(folder)


def write_record(folder: Path, record: Record) -> None:
    """Replace launch.json in one step."""
    _write(folder / LAUNCH, asdict(record))


def remove_folder(folder: Path) -> None:
    """Remove a folder of nothing that runs. launch.json goes first: what is left without it is debris."""
    (folder / LAUNCH).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> None:
    """Remove folders whose making or removal was cut short. Only for whoever has the turn to change things."""
    for folder in root.iterdir():
        unfinished = folder.name.startswith(UNFINISHED)
        if unfinished or (folder.is_dir() and not (folder / LAUNCH).exists() and holder(folder / LOCK) is None):
            shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    unfinished = path.with_name(f".{path.name}.new")
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(file, "w", encoding="utf-8") as stream:  # noqa: PTH123 (of a descriptor, for its mode)
        json.dump(content, stream, indent=2, sort_keys=True)
    unfinished.replace(path)
