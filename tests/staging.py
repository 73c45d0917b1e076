"""Values the tests of decisions start from: one service, its launches, what is found of it."""

from __future__ import annotations

from typing import Any

from enova.core.desired import Desired
from enova.core.fingerprint import fingerprint, instance_name, settings
from enova.core.launch import Kind, Launch, Role
from enova.core.observed import Gpu, Health, Instance, Look, Observed, State
from enova.core.rollout import RolloutPolicy

GIB = 2**30


def gateway(service: str = "chat", **changes: Any) -> Launch:
    """Return a gateway's launch."""
    values: dict[str, Any] = {
        "runtime": "docker",
        "kind": Kind.ROUTER,
        "port": 9199,
        "args": {"policy": "round_robin"},
    }
    return Launch(service=service, role=Role.GATEWAY, **(values | changes))


def replica(service: str = "chat", **changes: Any) -> Launch:
    """Return a replica's launch."""
    values: dict[str, Any] = {
        "runtime": "docker",
        "kind": Kind.VLLM,
        "image": "vllm/vllm-openai:v0.32.0",
        "model": "org/model",
        "args": {"max_num_seqs": 8},
    }
    return Launch(service=service, role=Role.REPLICA, **(values | changes))


def desired(service: str = "chat", replicas: int = 2, **changes: Any) -> Desired:
    """Return a service as it should be."""
    replica_changes = changes.pop("replica", {})
    gateway_changes = changes.pop("gateway", {})
    policy = changes.pop("rollout", {})
    return Desired(
        service=service,
        gateway=gateway(service, **gateway_changes),
        replica=replica(service, **replica_changes),
        replicas=replicas,
        rollout=RolloutPolicy(**policy),
        **changes,
    )


def instance(launch: Launch, **changes: Any) -> Instance:
    """Return a launch as it is found, running and healthy unless told otherwise."""
    name = instance_name(launch)
    values: dict[str, Any] = {
        "id": name,
        "name": name,
        "runtime": launch.runtime,
        "service": launch.service,
        "role": launch.role,
        "slot": launch.slot,
        "fingerprint": fingerprint(launch),
        "settings": settings(launch),
        "state": State.RUNNING,
        "health": Health.HEALTHY,
        "devices": launch.devices,
    }
    values |= changes
    running = values["state"] is State.RUNNING
    address = {"url": f"http://{name}", "worker_url": f"http://{name}"} if running else {}
    return Instance(**(address | values))


def running(*services: Desired, **changes: Any) -> list[Instance]:
    """Return all instances of services that are just as they should be."""
    found = []
    for service in services:
        found.append(instance(service.gateway))
        found += [instance(service.replica.place(slot=slot), **changes) for slot in range(service.replicas)]
    return found


def observed(*instances: Instance, **changes: Any) -> Observed:
    """Return a snapshot in which every running gateway routes to every running replica of its service."""
    looks = {
        runtime: Look(
            tuple(i for i in instances if i.runtime == runtime), changes.pop(f"{runtime}_foreign", frozenset())
        )
        for runtime in ("docker", "process")
    }
    routes = {
        i.id: frozenset(
            r.worker_url
            for r in instances
            if r.worker_url and r.role is Role.REPLICA and r.service == i.service and r.state is State.RUNNING
        )
        for i in instances
        if i.role is Role.GATEWAY and i.state is State.RUNNING
    }
    values: dict[str, Any] = {"runtimes": looks, "routes": routes} | changes
    return Observed(**values)


def gpus(count: int, **changes: Any) -> tuple[Gpu, ...]:
    """Return `count` idle GPUs of 80 GiB."""
    values: dict[str, Any] = {"name": "NVIDIA H100 80GB HBM3", "memory_bytes": 80 * GIB} | changes
    return tuple(Gpu(id=f"GPU-{index}", index=index, **values) for index in range(count))
