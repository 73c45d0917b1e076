"""The network replicas and gateways share, on which they find each other by name."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from enova.adapters.containers.labels import OWNER
from enova.errors import ApplyError

if TYPE_CHECKING:
    from docker import APIClient

APPEARS_WITHIN_S = 10
POLL_S = 0.1


def ensure(client: APIClient, name: str) -> None:
    """Make the network unless it is there.

    The engine lets two networks made at the same moment have one name, and then refuses to use either. It never
    lets two have one bridge interface, so the interface's name is derived from the network's: all but one who make
    it at once are refused, and wait for the winner's to show.
    """
    from docker.errors import APIError

    deadline = time.monotonic() + APPEARS_WITHIN_S
    while not exists(client, name):
        if time.monotonic() > deadline:
            raise ApplyError(
                f"the Docker network {name} cannot be made: something else has its interface {interface(name)}",
                hint="`docker network ls` shows which; remove it, or restart Docker",
            )
        try:
            client.create_network(
                name,
                driver="bridge",
                check_duplicate=True,
                labels=OWNER,
                options={"com.docker.network.bridge.name": interface(name)},
            )
        except APIError as error:
            if error.status_code != 409 and "same bridge name" not in str(error.explanation):
                raise
            time.sleep(POLL_S)


def exists(client: APIClient, name: str) -> bool:
    return any(network["Name"] == name for network in client.networks(names=[name]))


def interface(name: str) -> str:
    """Return a name of at most 15 bytes, which is all the kernel takes."""
    return f"enova-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
