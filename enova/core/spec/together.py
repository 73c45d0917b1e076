"""What is wrong between services that are each right: one name twice, one port twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from enova.core.spec.explain import Finding
from enova.core.spec.service import Service

_EVERY_HOST = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound


@dataclass(frozen=True, slots=True)
class Clash:
    """A finding in one service that another one is part of, both by their place in the sequence."""

    index: int
    other: int
    finding: Finding


def clashes(services: Sequence[Service]) -> Iterator[Clash]:
    """Yield what later services take that earlier ones have."""
    names: dict[str, int] = {}
    ports: dict[int, list[tuple[str, int]]] = {}
    for index, service in enumerate(services):
        other = names.setdefault(service.name, index)
        if other != index:
            yield Clash(
                index, other, Finding(("metadata", "name"), f"{service.name} is the name of another service")
            )
            continue
        gateway = service.gateway
        for key, port in (("port", gateway.port), ("metrics_port", gateway.metrics_port)):
            if port is None:
                continue
            taken = ports.setdefault(port, [])
            rival = next((owner for host, owner in taken if _overlap(host, gateway.host)), None)
            if rival is not None and rival != index:
                yield Clash(index, rival, _port_finding(service, key, port))
            taken.append((gateway.host, index))


def _overlap(one: str, other: str) -> bool:
    return one == other or one in _EVERY_HOST or other in _EVERY_HOST


def _port_finding(service: Service, key: str, port: int) -> Finding:
    written = "gateway" in service.model_fields_set and key in service.gateway.model_fields_set
    message = f"port {port} of {service.gateway.host} is taken by the gateway of another service"
    return Finding(
        ("gateway", key) if written else ("metadata", "name"), message, f"set gateway.{key} to a free port"
    )
