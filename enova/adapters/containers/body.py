"""A Launch as the body of `POST /containers/create`: pure, so that a test can read what is asked of the engine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Any

from enova.adapters.containers.labels import labels
from enova.core.argv import router_words, words
from enova.core.launch import Kind, Launch, Mount, Role
from enova.errors import ApplyError

ENGINE_PORT = 8000
ROUTER_METRICS_PORT = 29000
EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside the container; what leaves it is decided by what is published
LOOPBACK = "127.0.0.1"
SECOND_NS = 1_000_000_000
START_PERIOD_S = 3600
"""A large model may take that long to download and load; until then a failed check is not held against it."""
GRACE_S = 10
"""On top of the engine's own shutdown_timeout, before it is killed. Used when Docker itself goes down."""


def body(launch: Launch, image: str, secrets: Mapping[str, str], network: str) -> dict[str, Any]:
    """Return what to ask of the engine. The secrets' values appear in its Env and nowhere else."""
    port, metrics_port = ports(launch)
    published = _published(launch, port, metrics_port)
    env = {**launch.env, **secrets}
    return {
        "Image": image,
        "Cmd": command(launch),
        "Env": [f"{name}={value}" for name, value in sorted(env.items())],
        "Labels": labels(launch, port=port, metrics_port=metrics_port),
        "ExposedPorts": {key: {} for key in published},
        "Healthcheck": _healthcheck(port),
        "StopTimeout": _stop_timeout_s(launch),
        "HostConfig": {
            "NetworkMode": network,
            "PortBindings": published,
            # vLLM exits with code 0 when its engine dies, so on-failure would leave it down.
            "RestartPolicy": {"Name": "unless-stopped"},
            # Reaps what dies under vLLM, and hands SIGTERM on.
            "Init": True,
            "CapDrop": ["ALL"],
            "CapAdd": _capabilities(launch.mounts),
            "SecurityOpt": ["no-new-privileges"],
            "ShmSize": launch.shm_bytes or None,
            "Mounts": [_mount(mount) for mount in launch.mounts],
            "DeviceRequests": _devices(launch.devices),
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "20m", "max-file": "5"}},
        },
        "NetworkingConfig": {"EndpointsConfig": {network: {}}},
    }


def ports(launch: Launch) -> tuple[int, int | None]:
    """Return the ports it listens on inside the container: its API's, and its metrics' if that is another one."""
    if launch.kind is not Kind.ROUTER:
        return ENGINE_PORT, None
    port = launch.args.get("port", launch.port or ENGINE_PORT)
    metrics_port = launch.args.get("prometheus_port", ROUTER_METRICS_PORT)
    return int(port), int(metrics_port)  # type: ignore[arg-type]  # checked numbers; only their type here is wide


def command(launch: Launch) -> list[str]:
    """Return the words after the image's own entrypoint, which is `vllm serve` or the router itself."""
    port, metrics_port = ports(launch)
    listen: dict[str, str | int] = {"host": EVERYWHERE, "port": port}
    if metrics_port is not None:
        listen |= {"prometheus_host": EVERYWHERE, "prometheus_port": metrics_port}
    rest = {name: value for name, value in launch.args.items() if name not in listen}
    if launch.kind is Kind.ROUTER:
        return [*router_words(listen), *router_words(rest)]
    return [launch.model, *words(listen), *words(rest)]


def _published(launch: Launch, port: int, metrics_port: int | None) -> dict[str, list[dict[str, str]]]:
    """Only a gateway can be reached from outside this host, and only where the spec says so."""
    if launch.role is not Role.GATEWAY:
        return {f"{port}/tcp": [{"HostIp": LOOPBACK, "HostPort": ""}]}
    public = {f"{port}/tcp": [{"HostIp": _address(launch), "HostPort": str(launch.port or "")}]}
    if metrics_port is not None:
        public[f"{metrics_port}/tcp"] = [{"HostIp": LOOPBACK, "HostPort": str(launch.metrics_port or "")}]
    return public


def _address(launch: Launch) -> str:
    """Return the address to publish on. A name must not reach the engine: it takes what is no address for all."""
    host = LOOPBACK if launch.host == "localhost" else launch.host
    try:
        return str(ip_address(host))
    except ValueError:
        raise ApplyError(
            f"{launch.target}: Docker publishes on an address, and {host!r} is none",
            hint="set gateway.host to an IP address of this host, 127.0.0.1, or 0.0.0.0 for all",
        ) from None


def _healthcheck(port: int) -> dict[str, Any]:
    """Ask /health with whatever the image has. A proxy meant for model downloads must not catch the request."""
    url = f"http://127.0.0.1:{port}/health"
    test = (
        "unset http_proxy HTTP_PROXY all_proxy ALL_PROXY; "
        f"if command -v curl >/dev/null; then exec curl -fsS -m 5 -o /dev/null {url}; fi; "
        f"if command -v wget >/dev/null; then exec wget -q -T 5 -O /dev/null {url}; fi; "
        f"exec python3 -c \"import urllib.request as r; r.urlopen('{url}', timeout=5)\""
    )
    return {
        "Test": ["CMD-SHELL", test],
        "Interval": 10 * SECOND_NS,
        "Timeout": 8 * SECOND_NS,
        "Retries": 3,
        "StartPeriod": START_PERIOD_S * SECOND_NS,
    }


def _stop_timeout_s(launch: Launch) -> int:
    drain_s = launch.args.get("shutdown_timeout", 0)
    return GRACE_S + (math.ceil(drain_s) if isinstance(drain_s, int | float) else 0)


def _capabilities(mounts: tuple[Mount, ...]) -> list[str]:
    """Return what is added to no capability at all.

    Without DAC_OVERRIDE even root cannot write to a host folder that belongs to another user, such as a model
    cache in someone's home. Nothing else needs one: vLLM's CPU
    build would like SYS_NICE to bind memory to NUMA nodes, but runs without, as it does under Docker's defaults.
    """
    writable = any(_is_folder(mount) and not mount.read_only for mount in mounts)
    return ["DAC_OVERRIDE"] if writable else []


def _mount(mount: Mount) -> dict[str, Any]:
    """A folder that is missing makes the engine refuse; it makes missing folders only for the older `Binds`."""
    return {
        "Type": "bind" if _is_folder(mount) else "volume",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }


def _is_folder(mount: Mount) -> bool:
    return PurePosixPath(mount.source).is_absolute()


def _devices(devices: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"DeviceIDs": list(devices), "Capabilities": [["gpu"]]}] if devices else []
