"""Fill in what the user left open, and remember who decided what: the user, the search, or a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from enova.core.recommend.fields import CHOOSABLE, GPU, REPLICAS, Chosen, filled, pinned
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
    why: str = ""
    """Of what was recommended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A service with nothing left open that starting it needs."""

    written: Service
    """As the user wrote it."""
    service: Service
    """With what was chosen filled in; what is left to vLLM is still open."""
    runtime: str
    image: str | None
    """None where the runtime needs none."""
    gateway_image: str | None
    gateway_host: str
    gateway_port: int
    replicas: int
    gpu: str | None
    """The kind to run on, by its card's name; None: whatever placement allows."""
    choices: tuple[Choice, ...]
    """Every field that was filled or that the user pinned among those above, sorted by name."""


def resolve(
    written: Service,
    chosen: Chosen = MappingProxyType({}),
    why: Mapping[str, str] = MappingProxyType({}),
) -> Resolved:
    """Return the service with every open field filled: as was chosen, for the reasons given, else by default."""
    service = filled(written, chosen)
    choices: dict[str, Choice] = {}

    def choose(field: str, set_by_user: Any, default: Any) -> Any:
        provenance = Provenance.DEFAULT if set_by_user is None else Provenance.USER
        value = default if set_by_user is None else set_by_user
        choices[field] = Choice(field, value, provenance)
        return value

    def set_in(section: Section, name: str) -> Any:
        """Return what the user wrote, None for a default of the spec's own."""
        return getattr(section, name) if name in section.model_fields_set else None

    runtime = choose("placement.runtime", written.placement.runtime, written.runtime)
    image = gateway_image = None
    if runtime == "docker":
        image = choose("engine.image", written.engine.image, _default_image(written))
        gateway_image = choose("gateway.image", written.gateway.image, f"{GATEWAY_IMAGE}:{ROUTER_VERSION}")
    gateway_host = choose("gateway.host", set_in(written.gateway, "host"), written.gateway.host)
    gateway_port = choose("gateway.port", set_in(written.gateway, "port"), written.gateway.port)
    choose("scaling.min", set_in(written.scaling, "min"), written.scaling.min)
    for field in CHOOSABLE:
        if pinned(written, field) and "." in field:
            section, _, name = field.partition(".")
            choices[field] = Choice(field, getattr(getattr(written, section), name), Provenance.USER)
        elif field in chosen:
            choices[field] = Choice(field, chosen[field], Provenance.RECOMMENDED, why.get(field, ""))
    return Resolved(
        written=written,
        service=service,
        runtime=runtime,
        image=image,
        gateway_image=gateway_image,
        gateway_host=gateway_host,
        gateway_port=gateway_port,
        replicas=int(chosen.get(REPLICAS, written.scaling.min)),
        gpu=chosen.get(GPU),
        choices=tuple(choices[field] for field in sorted(choices)),
    )


def _default_image(service: Service) -> str:
    if service.engine.kind == "emulated":
        return f"{EMULATOR_IMAGE}:latest"
    return f"{VLLM_IMAGE}:v{service.engine.version or VLLM_VERSION}"
