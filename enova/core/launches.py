"""From a resolved service to the launches of its gateway and its replicas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from enova.core.canary import Canary
from enova.core.desired import Desired
from enova.core.launch import API_KEY, ArgValue, Kind, Launch, Role, SecretRef
from enova.core.mounts import FILES_DIR, MODELS_DIR, Mounts
from enova.core.plan import Note
from enova.core.resolve import Resolved
from enova.core.rollout import RolloutPolicy
from enova.core.router_args import router_args
from enova.core.simulate.promises import promises_of
from enova.core.spec import Service
from enova.core.spec.arguments import PATH_ARGUMENTS
from enova.core.spec.fields import is_folder

Show = Callable[[str, str], str]
"""Takes a path of this host and a folder; returns where the engine sees the path, below that folder if mounted."""

CACHE_DIR = "/var/cache/huggingface"
"""Where a container keeps what it downloads; HF_HOME points here."""
CACHE_VOLUME = "enova-models"
NOT_ACTED_ON = ("placement.hosts", "scaling.idle_to_zero")
"""Fields of the spec that no part of Enova uses yet. Silence would let users think their promise is kept."""
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
        gpu_types=(resolved.gpu,) if resolved.gpu else tuple(service.placement.gpu_types),
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
    mounts = Mounts()
    show: Show = mounts.show if docker else _as_it_is
    if docker:
        mounts.put(str(service.model.cache_dir or CACHE_VOLUME), CACHE_DIR)
    model = show(service.model.id, MODELS_DIR) if service.model.is_local else service.model.id
    args = _model_args(service, show) | _engine_args(service, show)
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
        mounts=mounts.all(),
        shm_bytes=int(service.engine.shm_size or SHM_BYTES) if docker else 0,
        gpus=service.gpus_per_replica,
    )


def _as_it_is(path: str, _folder: str) -> str:
    """A process sees what its host sees."""
    return path


def _model_args(service: Service, show: Show) -> dict[str, ArgValue]:
    model = service.model
    args: dict[str, ArgValue] = {"served_model_name": tuple(model.served_names) or (_served_name(service),)}
    if model.revision:
        args["revision"] = model.revision
    if model.trust_remote_code:
        args["trust_remote_code"] = True
    if model.lora:
        args["enable_lora"] = True
        args["lora_modules"] = tuple(
            f"{adapter.name}={show(adapter.id, MODELS_DIR) if adapter.is_local else adapter.id}"
            for adapter in model.lora
        )
    return args


def _engine_args(service: Service, show: Show) -> dict[str, ArgValue]:
    args = service.engine.args()
    for name in sorted(PATH_ARGUMENTS & args.keys()):
        path = str(args[name])
        if is_folder(path):
            args[name] = show(path, FILES_DIR)
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
    refs = {"HF_TOKEN": service.model.token, API_KEY: service.gateway.api_key}
    return {name: ref for name, ref in refs.items() if ref} | dict(service.engine.secrets)


def _rollout(service: Service) -> RolloutPolicy:
    rollout, probe = service.rollout, service.rollout.probe
    return RolloutPolicy(
        surge=rollout.surge,
        max_unavailable=rollout.max_unavailable,
        ready_timeout_s=rollout.ready_timeout,
        settle_s=rollout.settle,
        canary=_canary(service),
        drain_timeout_s=rollout.drain_timeout,
        stop_timeout_s=rollout.stop_timeout,
        probe_prompt=probe.prompt,
        probe_max_tokens=probe.max_tokens,
        probe_timeout_s=probe.timeout,
    )


def _canary(service: Service) -> Canary | None:
    written = service.rollout.canary
    if written is None:
        return None
    promises = promises_of(service.slo)
    return Canary(
        share=written.share.fraction,
        duration_s=written.duration,
        slower=written.slower.fraction,
        targets=tuple((str(one.metric), one.statistic, one.target_s) for one in promises),
    )


def _notes(resolved: Resolved) -> tuple[Note, ...]:
    service = resolved.service
    name = service.name
    notes = []
    if service.engine.kind == "emulated":
        notes.append(
            Note(name, "emulated engine: it answers with made-up words at a simulated pace, no model runs")
        )
    if resolved.gateway_host not in {"127.0.0.1", "localhost", "::1"}:
        message = (
            f"the gateway listens on {resolved.gateway_host}; its router lets anyone who reaches it change routes"
        )
        notes.append(Note(name, message, "put a reverse proxy in front that passes /v1 only (docs/gateway.md)"))
    waiting = [path for path in NOT_ACTED_ON if _written(service, path)]
    if waiting:
        notes.append(Note(name, f"checked and kept, but nothing acts on it yet: {', '.join(waiting)}"))
    return tuple(notes)


def _written(service: Service, path: str) -> bool:
    """Tell whether the user wrote this field."""
    section: Any = service
    for key in path.split("."):
        if key not in section.model_fields_set:
            return False
        section = getattr(section, key)
    return True
