"""What systemd is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from enova.watch.systemd import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_it_is_told_at_the_address_it_gave(tmp_path: Path, abstract: bool) -> None:
    name = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}" if abstract else name)
        systemd.settimeout(10)

        notify("READY=1", {"NOTIFY_SOCKET": f"@{name}" if abstract else name})

        assert systemd.recv(100) == b"READY=1"


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    notify("READY=1", {})
    notify("READY=1", {"NOTIFY_SOCKET": f"{tmp_path}/nobody"})
