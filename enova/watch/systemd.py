"""Tell systemd how a service of `Type=notify` is (sd_notify(3)). Without systemd, nothing is done."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


def notify(message: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send one message: `READY=1`, `WATCHDOG=1`, `STOPPING=1`, `STATUS=…`."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # An abstract socket begins with a zero byte, which no environment variable can hold.
    address = f"\0{address[1:]}" if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.sendto(message.encode(), address)
