"""Take one snapshot of the world. Everything is asked at once; nothing is concluded from what did not answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from enova.core.launch import Role
from enova.core.observed import Health, Instance, Look, Observed, State, Unknown
from enova.core.runtime import Runtime
from enova.errors import ObserveError
from enova.world import World

LOOKS_AT_ONCE = 16


def observe(world: World, *, needed: Collection[str], gpus: bool, routes: bool = True) -> Observed:
    """Look at every runtime at once, then ask what their lists could not tell; gateways if `routes` are wanted.

    A runtime nobody needs may be missing on this machine: if it cannot be looked at, it is left out.
    """
    with ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="look") as pool:
        seen_gpus = pool.submit(world.gpus) if gpus else None
        looks = dict(zip(world.runtimes, pool.map(_look, world.runtimes.values()), strict=True))
        kept = {name: look for name, look in looks.items() if name in needed or isinstance(look, Look)}
        found = [i for look in kept.values() if isinstance(look, Look) for i in look.instances]
        urls = [i.url for i in found if i.url and _unsure(i)]
        health = dict(zip(urls, pool.map(world.engine.health, urls), strict=True))
        gateways = [i for i in found if routes and i.role is Role.GATEWAY and i.state is State.RUNNING]
        routed = pool.map(lambda i: world.gateway.routes(i.url) if i.url else None, gateways)
        return Observed(
            runtimes={name: _with_health(look, health) for name, look in kept.items()},
            gpus=seen_gpus.result() if seen_gpus else (),
            routes=dict(zip((i.id for i in gateways), routed, strict=True)),
        )


def _look(runtime: Runtime) -> Look | Unknown:
    try:
        return runtime.look()
    except ObserveError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return Unknown(f"could not look at {runtime.name}: {error.message}{hint}")


def _unsure(instance: Instance) -> bool:
    """Tell whether a running replica has to be asked itself: its runtime does not call it healthy.

    A runtime may call unhealthy what is only starting again. Whether a router listens is seen when its routes are
    read.
    """
    serves = instance.state is State.RUNNING and instance.role is Role.REPLICA
    return serves and instance.health is not Health.HEALTHY


def _with_health(look: Look | Unknown, health: Mapping[str, Health]) -> Look | Unknown:
    if isinstance(look, Unknown):
        return look
    return replace(look, instances=tuple(_judged(instance, health) for instance in look.instances))


def _judged(instance: Instance, health: Mapping[str, Health]) -> Instance:
    if instance.url is None or instance.url not in health:
        return instance
    return replace(instance, health=health[instance.url])
