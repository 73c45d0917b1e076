"""From a resolved service to the launches of its gateway and its replicas."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from enova.core.desired import Desired
from enova.core.launch import ArgValue, Kind, Launch, Mount, Role, SecretRef
from enova.core.plan import Note
from enova.core.resolve import Resolved
from enova.core.rollout import RolloutPolicy
from enova.core.router_args import router_args
from enova.core.spec import Service

MODELS_DIR = PurePosixPath("/models")
"""Where a container sees local model folders."""
CACHE_DIR = "/var/cache/huggingface"
"""Where a container keeps what it downloads; HF_HOME points here."""
CACHE_VOLUME = "enova-models"
SHM_BYTES = 2 * 2**30
"""Docker's 64 MiB of /dev/shm is too little: vLLM's executor refuses to start below 160 MiB, NCCL wants more."""


def desired_state(resolved: Resolved) -> Desired:
    """Return what should run for one service."""
    service = resolved.service
    return Desired(
        service=service.name,
        gateway=gateway_launch(resolved),
        replica=replica_launch(resolved),
        replicas=resolved.replicas,
        rollout=_rollout(service),
        suspended=service.suspend,
        gpu_types=tuple(service.placement.gpu_types),
        device_ids=tuple(service.placement.devices),
        max_gpus=service.budget.gpus,
        notes=_notes(resolved),
    )


def gateway_launch(resolved: Resolved) -> Launch:
    """Return the launch of a service's router."""
    return Launch(
        service=resolved.service.name,
        role=Role.GATEWAY,
        runtime=resolved.runtime,
        kind=Kind.ROUTER,
        image=resolved.gateway_image,
        host=resolved.gateway_host,
        port=resolved.gateway_port,
        metrics_port=resolved.service.gateway.metrics_port,
        args=router_args(resolved.service.gateway),
    )


def replica_launch(resolved: Resolved) -> Launch:
    """Return the launch of slot 0; the others differ in placement only."""
    service = resolved.service
    docker = resolved.runtime == "docker"
    mounts: dict[str, Mount] = {}

    def seen(folder: str) -> str:
        """Return where the engine finds a folder of this host."""
        if not docker:
            return folder
        target = str(MODELS_DIR / PurePosixPath(folder).name)
        mounts[target] = Mount(folder, target)
        return target

    model = seen(service.model.id) if service.model.is_local else service.model.id
    args = _model_args(service, seen) | service.engine.args()
    if docker:
        source = str(service.model.cache_dir or CACHE_VOLUME)
        mounts[CACHE_DIR] = Mount(source, CACHE_DIR, read_only=False)
    return Launch(
        service=service.name,
        role=Role.REPLICA,
        runtime=resolved.runtime,
        kind=Kind(service.engine.kind),
        image=resolved.image,
        model=model,
        args=args,
        env=_environment(service, CACHE_DIR if docker else service.model.cache_dir),
        secrets=_secrets(service),
        mounts=tuple(mounts[target] for target in sorted(mounts)),
        shm_bytes=int(service.engine.shm_size or SHM_BYTES) if docker else 0,
        gpus=service.gpus_per_replica,
    )


def _model_args(service: Service, seen: Any) -> dict[str, ArgValue]:
    model = service.model
    args: dict[str, ArgValue] = {"served_model_name": tuple(model.served_names) or (_served_name(service),)}
    if model.revision:
        args["revision"] = model.revision
    if model.trust_remote_code:
        args["trust_remote_code"] = True
    if model.lora:
        args["enable_lora"] = True
        args["lora_modules"] = tuple(
            f"{adapter.name}={seen(adapter.id) if adapter.is_local else adapter.id}" for adapter in model.lora
        )
    return args


def _served_name(service: Service) -> str:
    """A folder's path means nothing to a client; its last part does."""
    model = service.model
    return PurePosixPath(model.id).name if model.is_local else model.id


def _environment(service: Service, cache_dir: str | None) -> dict[str, str]:
    model = service.model
    found = {
        "HF_HOME": cache_dir,
        "HF_ENDPOINT": model.endpoint,
        "HTTP_PROXY": model.proxy,
        "HTTPS_PROXY": model.proxy,
        # Health checks and the router are local; a proxy in between would break both.
        "NO_PROXY": "localhost,127.0.0.1" if model.proxy else None,
    }
    return {name: str(value) for name, value in found.items() if value} | dict(service.engine.env)


def _secrets(service: Service) -> dict[str, SecretRef]:
    refs = {"HF_TOKEN": service.model.token, "VLLM_API_KEY": service.gateway.api_key}
    return {name: ref for name, ref in refs.items() if ref} | dict(service.engine.secrets)


def _rollout(service: Service) -> RolloutPolicy:
    rollout, probe = service.rollout, service.rollout.probe
    return RolloutPolicy(
        surge=rollout.surge,
        max_unavailable=rollout.max_unavailable,
        ready_timeout_s=rollout.ready_timeout,
        drain_timeout_s=rollout.drain_timeout,
        stop_timeout_s=rollout.stop_timeout,
        probe_prompt=probe.prompt,
        probe_max_tokens=probe.max_tokens,
        probe_timeout_s=probe.timeout,
        api_key=service.gateway.api_key,
    )


def _notes(resolved: Resolved) -> tuple[Note, ...]:
    service = resolved.service
    name = service.name
    notes = []
    if service.engine.kind == "emulated":
        notes.append(Note(name, "emulated engine: it answers with made-up words and timing, no model runs"))
    if resolved.gateway_host not in {"127.0.0.1", "localhost", "::1"}:
        message = (
            f"the gateway listens on {resolved.gateway_host}; its router lets anyone who reaches it change routes"
        )
        notes.append(Note(name, message, "put a reverse proxy in front that passes /v1 only (docs/gateway.md)"))
    return tuple(notes)
