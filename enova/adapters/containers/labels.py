"""What is recorded on a container, and how it reads back from one line of the engine's container list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import enova
from enova.core.fingerprint import canonical, fingerprint, settings
from enova.core.launch import Launch, Role
from enova.core.observed import Health, Instance, Look, State

PREFIX = "dev.enova."
OWNER = {f"{PREFIX}owner": "enova"}
"""On everything Enova makes; what lacks it is a stranger's."""

Listed = Mapping[str, Any]
"""One entry of `GET /containers/json`."""

_STATES = {"created": State.CREATED, "exited": State.EXITED, "dead": State.EXITED, "removing": State.EXITED}
_HEALTHS = {"(healthy)": Health.HEALTHY, "(unhealthy)": Health.UNHEALTHY, "(health: starting)": Health.STARTING}
_EXIT_CODE = re.compile(r"^(?:Exited|Restarting) \((\d+)\)")


def labels(launch: Launch, *, port: int, metrics_port: int | None) -> dict[str, str]:
    """Return the labels of the launch's container. The ports are those inside it."""
    own = {
        "service": launch.service,
        "role": str(launch.role),
        "slot": str(launch.slot),
        "kind": str(launch.kind),
        "fingerprint": fingerprint(launch),
        "settings": canonical(settings(launch)),
        "devices": ",".join(launch.devices),
        "port": str(port),
        "metrics_port": "" if metrics_port is None else str(metrics_port),
        "version": enova.__version__,
    }
    return OWNER | {PREFIX + key: value for key, value in own.items()}


def look_at(listed: Iterable[Listed]) -> Look:
    """Tell ours from strangers'. A container with labels of ours that do not read counts as a stranger's."""
    ours, foreign = [], set[str]()
    for item in listed:
        instance = instance_of(item)
        if instance is None:
            foreign |= _names(item)
        else:
            ours.append(instance)
    return Look(instances=tuple(sorted(ours, key=lambda i: i.name)), foreign_names=frozenset(foreign))


def instance_of(item: Listed) -> Instance | None:
    """Return the container as an instance, or None if it is not ours."""
    recorded = item.get("Labels") or {}
    names = _names(item)
    if not names or OWNER.items() - recorded.items():
        return None
    own = {key.removeprefix(PREFIX): value for key, value in recorded.items() if key.startswith(PREFIX)}
    try:
        return _read(item, min(names, key=len), own)
    except (KeyError, ValueError):
        return None


def as_listed(inspected: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the answer of `GET /containers/ID/json` into the shape of the list, and keep RestartCount."""
    state, config = inspected["State"], inspected["Config"]
    bindings = (inspected.get("NetworkSettings") or {}).get("Ports") or {}
    return {
        "Id": inspected["Id"],
        "Names": [inspected["Name"]],
        "Image": config["Image"],
        "Labels": config.get("Labels"),
        "Created": int(datetime.fromisoformat(inspected["Created"]).timestamp()),
        "State": state["Status"],
        "Status": _status(state),
        "RestartCount": inspected.get("RestartCount", 0),
        "Ports": [
            {"IP": p["HostIp"], "PrivatePort": int(key.partition("/")[0]), "PublicPort": int(p["HostPort"])}
            for key, published in bindings.items()
            for p in published or ()
        ],
    }


def _status(state: Mapping[str, Any]) -> str:
    """Return the state in the list's words, which carry health and exit code, less the age."""
    name, health = str(state["Status"]), (state.get("Health") or {}).get("Status")
    if name in ("exited", "restarting"):
        return f"{name.capitalize()} ({state['ExitCode']})"
    if name != "running":
        return name.capitalize()
    return {"starting": "Up (health: starting)", "healthy": "Up (healthy)", "unhealthy": "Up (unhealthy)"}.get(
        str(health), "Up"
    )


def _read(item: Listed, name: str, own: Mapping[str, str]) -> Instance:
    role = Role(own["role"])
    port = int(own["port"])
    published = {p["PrivatePort"]: p for p in reversed(item.get("Ports") or ()) if p.get("PublicPort")}
    metrics_url = _url(published.get(int(own["metrics_port"]))) if own.get("metrics_port") else None
    status = item.get("Status", "")
    exit_code = _EXIT_CODE.match(status)
    return Instance(
        id=item["Id"],
        name=name,
        runtime="docker",
        service=own["service"],
        role=role,
        slot=int(own["slot"]),
        fingerprint=own["fingerprint"],
        settings=json.loads(own["settings"]),
        state=_STATES.get(item["State"], State.RUNNING),
        health=_health(item["State"], status),
        devices=tuple(filter(None, own["devices"].split(","))),
        url=_url(published.get(port)),
        worker_url=f"http://{name}:{port}" if role is Role.REPLICA else None,
        metrics_url=f"{metrics_url}/metrics" if metrics_url else None,
        image=item.get("Image"),
        created_at=float(item.get("Created", 0)),
        exit_code=int(exit_code[1]) if exit_code else None,
        restarts=item.get("RestartCount"),
        detail=status,
    )


def _health(state: str, status: str) -> Health:
    """A paused container keeps its last verdict, and one between two restarts has none: neither serves."""
    if state in ("paused", "restarting"):
        return Health.UNHEALTHY
    if state != "running":
        return Health.UNKNOWN
    return next((health for words, health in _HEALTHS.items() if status.endswith(words)), Health.UNKNOWN)


def _url(port: Listed | None) -> str | None:
    if port is None:
        return None
    host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1", "": "127.0.0.1"}.get(port.get("IP", ""), port.get("IP"))  # noqa: S104 - translated, not bound
    return f"http://[{host}]:{port['PublicPort']}" if ":" in str(host) else f"http://{host}:{port['PublicPort']}"


def _names(item: Listed) -> set[str]:
    """Return its own names; a name with a second slash is a link from another container."""
    return {name.removeprefix("/") for name in item.get("Names") or () if "/" not in name[1:]}
