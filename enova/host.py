"""The real world of this machine: Docker, local processes, the router and the engines over HTTP, NVML."""

from __future__ import annotations

from enova.core.devices import named
from enova.core.observed import Gpu, Unknown
from enova.settings import Settings
from enova.world import World


def open_host(settings: Settings) -> World:
    """Return this machine as a World. Nothing is contacted until it is asked something."""
    from enova.adapters.containers import DockerRuntime
    from enova.adapters.engine import HttpEngine
    from enova.adapters.gateway import VllmRouter
    from enova.adapters.metrics import look_at
    from enova.adapters.processes import ProcessRuntime
    from enova.adapters.secrets import read_secret

    return World(
        runtimes={"docker": DockerRuntime(), "process": ProcessRuntime(settings.state_dir)},
        gateway=VllmRouter(),
        engine=HttpEngine(),
        metrics=look_at,
        gpus=_gpus,
        read_secret=read_secret,
    )


def _gpus() -> tuple[Gpu, ...] | Unknown:
    """Return this host's GPUs under all names users know them by."""
    from enova.adapters.facts import gpu_cards
    from enova.adapters.gpus import inventory

    seen = inventory()
    return seen if isinstance(seen, Unknown) or not seen else named(seen, gpu_cards())
