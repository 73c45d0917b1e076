"""Ports are free when they are given out, and URLs reach them."""

from __future__ import annotations

import socket

import pytest

from enova.adapters.processes import ports


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_a_url_leads_to_this_machine_also_when_all_addresses_are_listened_on(host: str, expected: str) -> None:
    assert expected == ports.url(host, 80)


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free("127.0.0.1", port)

    assert ports.is_free("127.0.0.1", port)


def test_a_promised_port_is_not_given_out_again() -> None:
    with pytest.raises(OSError, match="no free port"):
        ports.free_port("127.0.0.1", range(65_536))  # type: ignore[arg-type]


def test_an_address_of_another_machine_has_no_free_port() -> None:
    with pytest.raises(OSError, match=r"no free port on 192\.0\.2\.1"):
        ports.free_port("192.0.2.1", set())
