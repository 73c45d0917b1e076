"""What there is to run on: GPUs of this host, of hosts that were declared, or of kinds one might rent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from enova.core.engine.gpu_card import GpuCard

HERE = "this host"
"""The source of what NVML shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Hosts that are alike, with GPUs of one kind. A replica lives on one host."""

    gpu: GpuCard
    """With the memory and the price that hold here."""
    per_host: int
    """GPUs of one host that may be used: the most that one replica can have."""
    hosts: int | None = 1
    """None: as many as one cares to rent."""
    source: str
    """Where it is known from, for people: `this host`, `inventory.yaml:4`."""

    @property
    def gpus(self) -> int | None:
        """Return all GPUs of the pool; None: without limit."""
        return None if self.hosts is None else self.hosts * self.per_host

    def replicas(self, gpus: int) -> int | None:
        """Return how many replicas of so many GPUs each it has room for; None: without limit."""
        if gpus > self.per_host:
            return 0
        return None if self.hosts is None else self.hosts * (self.per_host // max(1, gpus))

    def without(self, gpus: int) -> Pool:
        """Return what is left once others took so many GPUs, packed onto as few hosts as they can be."""
        if self.hosts is None or gpus <= 0:
            return self
        left = max(0, self.hosts * self.per_host - gpus)
        if left < self.per_host:
            return replace(self, hosts=1 if left else 0, per_host=left)
        return replace(self, hosts=left // self.per_host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All pools, by the name of their GPU and then by source. Empty: nothing is known to run on."""

    pools: tuple[Pool, ...] = ()

    def of_types(self, names: Sequence[str], *, same: Iterable[tuple[str, str]] = ()) -> Inventory:
        """Return the pools whose GPU has one of these names; all of them if none is given.

        `same` are pairs of a name that users write and the name of the card that it stands for.
        """
        if not names:
            return self
        known = dict(same)
        wanted = {known.get(name, name) for name in names}
        return Inventory(pools=tuple(pool for pool in self.pools if pool.gpu.name in wanted))


def inventory_of(pools: Iterable[Pool]) -> Inventory:
    """Return the pools in their order, whatever the order they are given in; empty ones are left out."""
    kept = (pool for pool in pools if pool.per_host and pool.hosts != 0)
    return Inventory(pools=tuple(sorted(kept, key=lambda pool: (pool.gpu.name, pool.source, -pool.per_host))))
