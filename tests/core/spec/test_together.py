"""Services that are each right, and not together."""

from __future__ import annotations

from typing import Any

from enova.core.spec import Service
from enova.core.spec.together import clashes


def service(name: str, **gateway: Any) -> Service:
    return Service.model_validate({"metadata": {"name": name}, "model": "a/b", "gateway": gateway})


def said(*services: Service) -> list[str]:
    return [f"{clash.index}-{clash.other} {clash.finding.message}" for clash in clashes(services)]


def test_a_name_can_be_used_once() -> None:
    assert said(service("a", port=1), service("a", port=2)) == ["1-0 a is the name of another service"]


def test_two_services_without_a_port_want_the_same() -> None:
    bare = Service.model_validate({"metadata": {"name": "b"}, "model": "a/b"})
    (clash,) = clashes([service("a", port=9199), bare])

    assert clash.finding.loc == ("metadata", "name")
    assert clash.finding.message == "port 9199 of 127.0.0.1 is taken by the gateway of another service"
    assert clash.finding.hint == "set gateway.port to a free port"


def test_one_port_on_two_hosts_is_fine() -> None:
    assert said(service("a", host="192.0.2.1", port=1), service("b", host="192.0.2.2", port=1)) == []


def test_every_host_holds_each_host() -> None:
    assert said(service("a", host="192.0.2.1", port=1), service("b", host="0.0.0.0", port=1)) == [
        "1-0 port 1 of 0.0.0.0 is taken by the gateway of another service"
    ]


def test_metrics_ports_count_too() -> None:
    assert said(service("a", port=1), service("b", port=2, metrics_port=1)) == [
        "1-0 port 1 of 127.0.0.1 is taken by the gateway of another service"
    ]
