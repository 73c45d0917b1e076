"""Fill in what the user left open, and remember who decided what.

For now everything unset gets a default; values chosen by search and frozen in a lock file will take the same form.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from enova.core.spec import Service
from enova.core.spec.fields import Section

VLLM_VERSION = "0.32.0"
"""The vLLM that Enova is tested against; its flags and metric names are the ones assumed."""
VLLM_IMAGE = "vllm/vllm-openai"
EMULATOR_IMAGE = "enova/emulator"
ROUTER_VERSION = "0.1.17"
GATEWAY_IMAGE = "enova/gateway"


class Provenance(StrEnum):
    """Who decided a value."""

    USER = "user"
    RECOMMENDED = "recommended"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Choice:
    """One field's value and who decided it."""

    field: str
    value: Any
    provenance: Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A service with nothing left open that starting it needs."""

    service: Service
    runtime: str
    image: str | None
    """None where the runtime needs none."""
    gateway_image: str | None
    gateway_host: str
    gateway_port: int
    replicas: int
    choices: tuple[Choice, ...]
    """Every field that was filled or that the user pinned among those above, sorted by name."""


def resolve(service: Service) -> Resolved:
    """Return the service with every open field filled."""
    choices: dict[str, Choice] = {}

    def choose(field: str, written: Any, default: Any) -> Any:
        provenance = Provenance.DEFAULT if written is None else Provenance.USER
        value = default if written is None else written
        choices[field] = Choice(field, value, provenance)
        return value

    def written(section: Section, name: str) -> Any:
        """Return what the user wrote, None for a default of the spec's own."""
        return getattr(section, name) if name in section.model_fields_set else None

    runtime = choose("placement.runtime", service.placement.runtime, service.runtime)
    image = gateway_image = None
    if runtime == "docker":
        image = choose("engine.image", service.engine.image, _default_image(service))
        gateway_image = choose("gateway.image", service.gateway.image, f"{GATEWAY_IMAGE}:{ROUTER_VERSION}")
    return Resolved(
        service=service,
        runtime=runtime,
        image=image,
        gateway_image=gateway_image,
        gateway_host=choose("gateway.host", written(service.gateway, "host"), service.gateway.host),
        gateway_port=choose("gateway.port", written(service.gateway, "port"), service.gateway.port),
        replicas=choose("scaling.min", written(service.scaling, "min"), service.scaling.min),
        choices=tuple(choices[field] for field in sorted(choices)),
    )


def _default_image(service: Service) -> str:
    if service.engine.kind == "emulated":
        return f"{EMULATOR_IMAGE}:latest"
    return f"{VLLM_IMAGE}:v{service.engine.version or VLLM_VERSION}"
