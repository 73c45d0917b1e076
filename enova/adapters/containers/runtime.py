"""The Docker runtime: Enova's Runtime protocol as calls of the Engine API."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from enova.adapters.containers import images, network
from enova.adapters.containers.body import body
from enova.adapters.containers.failures import doing, gone_is_fine, looking
from enova.adapters.containers.labels import OWNER, as_listed, instance_of, look_at
from enova.adapters.containers.lines import lines
from enova.core.fingerprint import instance_name
from enova.core.launch import Launch
from enova.core.observed import Instance, Look
from enova.core.runtime import Report
from enova.errors import ApplyError

if TYPE_CHECKING:
    from docker import APIClient

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
ROUTES_FOLDER = "/var/lib/enova"
ROUTES_FILE = "routes"
"""Read by the gateway image's entrypoint at every start."""
LOOK_TIMEOUT_S = 10
ACT_TIMEOUT_S = 120
"""Removing a large container on a slow disk can take minutes; looking at it cannot."""
CONFLICT_TIMEOUT_S = 10
ENDINGS_POLL_S = 1.0
POLL_S = 0.1


class DockerRuntime:
    """Runs instances as containers on one Docker engine. Constructing it connects to nothing.

    The engine is the one at `base_url`, or else the one DOCKER_HOST names. Health checks go to ports published on
    loopback, so it has to be on this host.
    """

    name = "docker"

    def __init__(
        self, base_url: str | None = None, *, network_name: str = "enova", gateway_base: str = images.GATEWAY_BASE
    ) -> None:
        self.where = base_url or os.environ.get("DOCKER_HOST") or DEFAULT_SOCKET
        self._base_url = base_url
        self._network = network_name
        self._gateway_base = gateway_base
        self._one_pull = threading.Lock()

    def look(self) -> Look:
        """Return everything that is ours here and the names others hold, in one call of the engine."""
        return look_at(self._list())

    def get(self, instance_id: str) -> Instance | None:
        """Return one container of ours as it is now, with its restarts, or None if it is gone."""
        from docker.errors import NotFound

        with looking(self.where):
            try:
                return instance_of(as_listed(self._observer.inspect_container(instance_id)))
            except NotFound:
                return None

    def create(self, launch: Launch, secrets: Mapping[str, str], report: Report) -> str:
        """Make the container, with its image and network, without starting it; return its id."""
        name = instance_name(launch)
        if existing := self._own(name):
            return existing
        image = images.image_of(launch)
        wanted = body(launch, image, secrets, self._network)
        with doing(f"get the image {image}", self.where), self._one_pull:
            images.ensure(self._engine, image, report, self._gateway_base)
        with doing(f"create {name}", self.where):
            network.ensure(self._engine, self._network)
            return self._make(name, wanted)

    def start(self, instance_id: str) -> None:
        """Start a created or exited container."""
        instance = self.get(instance_id)
        if instance is None:
            raise ApplyError(f"start {instance_id[:12]}: it is gone", hint="run apply again, which plans anew")
        with doing(f"start {instance.name}", self.where):
            self._engine.start(instance_id)

    def stop(self, instance_id: str, timeout_s: float) -> None:
        """Ask it to end, and have the engine kill it after `timeout_s`."""
        if instance := self.get(instance_id):
            with doing(f"stop {instance.name}", self.where), gone_is_fine():
                self._engine.stop(instance_id, timeout=math.ceil(timeout_s))

    def remove(self, instance_id: str) -> None:
        """Remove the container, its logs and its unnamed volumes. Named volumes, such as a model cache, stay."""
        if instance := self.get(instance_id):
            with doing(f"remove {instance.name}", self.where), gone_is_fine():
                self._engine.remove_container(instance_id, v=True, force=True)

    def logs(self, instance_id: str, *, tail: int | None, follow: bool) -> Iterator[str]:
        """Yield its log lines, standard output and error together."""
        if self.get(instance_id) is None:
            raise ApplyError(f"{instance_id[:12]} is gone, and its logs with it")
        with looking(self.where):
            stream = self._engine.logs(
                instance_id, stream=True, follow=follow, tail="all" if tail is None else tail
            )
            try:
                yield from lines(stream)
            finally:
                stream.close()

    def remember_routes(self, instance_id: str, worker_urls: frozenset[str]) -> None:
        """Keep a gateway's workers inside its container, so that it has them again when Docker restarts it."""
        instance = self.get(instance_id)
        if instance is None:
            raise ApplyError(f"remember the routes of {instance_id[:12]}: it is gone")
        content = "".join(f"{url}\n" for url in sorted(worker_urls)).encode()
        with doing(f"remember the routes of {instance.name}", self.where):
            self._engine.put_archive(instance_id, ROUTES_FOLDER, images.archive({ROUTES_FILE: content}))

    def endings(self, stopped: Callable[[], bool]) -> Iterator[str]:
        """Yield the name of each container of ours that ends or is removed from now on, until `stopped()`.

        The engine's own stream of events would tell sooner, but each one that ends leaves its connection open.
        """
        running = self._running()
        while not stopped():
            time.sleep(ENDINGS_POLL_S)
            before, running = running, self._running()
            yield from sorted(before - running)

    def _running(self) -> set[str]:
        ours = [f"{key}={value}" for key, value in OWNER.items()]
        found = self._list({"label": ours, "status": ["running"]}, stopped=False)
        return {str(name).removeprefix("/") for item in found for name in item["Names"][:1]}

    def close(self) -> None:
        """Close the connections. Not needed at the end of a process."""
        for kind in ("_observer", "_engine"):
            if client := self.__dict__.pop(kind, None):
                client.close()

    @cached_property
    def _observer(self) -> APIClient:
        return self._client(LOOK_TIMEOUT_S, self._api_version)

    @cached_property
    def _engine(self) -> APIClient:
        return self._client(ACT_TIMEOUT_S, self._api_version)

    @cached_property
    def _api_version(self) -> str:
        """Asked of the engine: old ones do not know the newest version, new ones refuse the oldest."""
        from docker.constants import MINIMUM_DOCKER_API_VERSION

        knock(self.where)
        client = self._client(LOOK_TIMEOUT_S, MINIMUM_DOCKER_API_VERSION)
        try:
            return str(client.version(api_version=False)["ApiVersion"])
        finally:
            client.close()

    def _client(self, timeout_s: int, version: str) -> APIClient:
        import docker
        from docker.utils import kwargs_from_env

        address: Any = {"base_url": self._base_url} if self._base_url else kwargs_from_env()
        return docker.APIClient(**address, timeout=timeout_s, version=version)

    def _list(self, filters: dict[str, list[str]] | None = None, *, stopped: bool = True) -> list[dict[str, Any]]:
        with looking(self.where):
            found: list[dict[str, Any]] = self._observer.containers(all=stopped, filters=filters)
        return found

    def _own(self, name: str) -> str | None:
        """Return the id of our container of that name, None if there is none; a stranger's is an error."""
        for item in self._list({"name": [f"^/?{name}$"]}):
            if instance_of(item) is None:
                raise ApplyError(
                    f"create {name}: a container of that name is there already, and it is not Enova's",
                    hint=f"see what it is with `docker inspect {name}`, then rename or remove it",
                )
            return str(item["Id"])
        return None

    def _make(self, name: str, wanted: dict[str, Any]) -> str:
        """The engine takes a name some moments before it lists its container, and frees it some moments after."""
        from docker.errors import APIError

        deadline = time.monotonic() + CONFLICT_TIMEOUT_S
        while True:
            try:
                made = self._engine.create_container_from_config(wanted, name)  # type: ignore[no-untyped-call]
                return str(made["Id"])
            except APIError as error:
                if error.status_code != 409 or time.monotonic() > deadline:
                    raise
            if existing := self._own(name):
                return existing
            time.sleep(POLL_S)


def knock(where: str) -> None:
    """Raise OSError if nobody listens on a local socket. Docker's SDK would leave its own half-made one open."""
    scheme, _, path = where.partition("://")
    if scheme != "unix":
        return
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(LOOK_TIMEOUT_S)
        visitor.connect(path)
