"""Where a container sees paths of the host. Depends on nothing but the paths and the order they come in."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath

from enova.core.launch import Mount

MODELS_DIR = "/models"
"""Where a container sees local model and adapter folders."""
FILES_DIR = "/files"
"""Where a container sees what engine arguments name, such as a chat template."""


class Mounts:
    """The host paths and volumes of one container, each under one target."""

    def __init__(self) -> None:
        self._mounts: dict[str, Mount] = {}

    def put(self, source: str, target: str) -> None:
        """Have a host folder or a volume at `target`, writable."""
        self._mounts[target] = Mount(source, target, read_only=False)

    def show(self, path: str, folder: str) -> str:
        """Return where the container sees a host path, read-only: under its last part, if that is not taken.

        Of several paths with the same last part, the later ones get a folder named after their whole path.
        """
        for mount in self._mounts.values():
            if mount.source == path and mount.read_only:
                return mount.target
        name = PurePosixPath(path).name or "root"
        target = f"{folder}/{name}"
        if target in self._mounts:
            target = f"{folder}/{hashlib.sha256(path.encode()).hexdigest()[:16]}/{name}"
        self._mounts[target] = Mount(path, target)
        return target

    def all(self) -> tuple[Mount, ...]:
        """Return them sorted by target."""
        return tuple(self._mounts[target] for target in sorted(self._mounts))
