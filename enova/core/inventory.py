"""What there is to run on: GPUs of this host, of hosts that were declared, or of kinds one might rent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from enova.core.devices import foreign_gpus, is_meant
from enova.core.engine.gpu_card import GpuCard, Price
from enova.core.engine.gpu_facts import find_gpu
from enova.core.observed import Gpu, Instance
from enova.core.spec.inventory import DeclaredInventory, Host, Rentable
from enova.errors import CannotModel

CUDA_KEEPS = 0.04
"""NVML tells up to this share more memory than CUDA does, which is what engines count from and facts hold."""

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
    """All pools, by the name of their GPU and then by source. Empty: there is nothing to run on but the CPU."""

    pools: tuple[Pool, ...] = ()
    notes: tuple[str, ...] = ()
    """What was left out of it, and why, for people."""

    def of_types(self, names: Sequence[str]) -> Inventory:
        """Return the pools whose GPU a user may have meant; all of them if no name is given.

        They are those that GPUs here would be handed out for (enova.core.devices): `H100` is an H100 PCIe too.
        """
        if not names:
            return self
        kept = (p for p in self.pools if any(is_meant((p.gpu.name, *p.gpu.aliases), name) for name in names))
        return replace(self, pools=tuple(kept))

    def on_devices(self, count: int) -> Inventory:
        """Return what of it one may use who names so many GPUs of a host."""
        return replace(self, pools=tuple(replace(p, per_host=min(p.per_host, count)) for p in self.pools))


def inventory_of(pools: Iterable[Pool], notes: Iterable[str] = ()) -> Inventory:
    """Return the pools in their order, whatever the order they are given in; empty ones are left out."""
    kept = (pool for pool in pools if pool.per_host and pool.hosts != 0)
    ordered = sorted(kept, key=lambda pool: (pool.gpu.name, pool.source, -pool.per_host))
    return Inventory(pools=tuple(ordered), notes=tuple(notes))


def inventory_here(gpus: Sequence[Gpu], cards: Iterable[GpuCard], instances: Iterable[Instance] = ()) -> Inventory:
    """Return this host's GPUs, a pool for each kind, without those that strangers compute on.

    Args:
        gpus: as NVML tells.
        cards: with the prices that hold here; a GPU that none is of is left out.
        instances: ours. The GPUs they hold are counted, whatever their use.
    """
    cards = tuple(cards)
    foreign = foreign_gpus(gpus, instances)
    notes = [_left_out(gpu, "others compute on it") for gpu in foreign]
    kinds: dict[tuple[str, int], Pool] = {}
    for gpu in gpus:
        if gpu in foreign:
            continue
        try:
            card = _as_reported(find_gpu(cards, gpu.name), gpu.memory_bytes)
        except CannotModel as error:
            notes.append(_left_out(gpu, f"there are no facts for it ({error.hint})"))
            continue
        kind = (card.name, card.memory_bytes)
        count = kinds[kind].per_host if kind in kinds else 0
        kinds[kind] = Pool(gpu=card, per_host=count + 1, source=HERE)
    return inventory_of(kinds.values(), notes)


def inventory_declared(
    declared: DeclaredInventory, cards: Iterable[GpuCard], place: Callable[[str, int], str]
) -> Inventory:
    """Return what was declared, hosts that are alike as one pool.

    Args:
        declared: checked, so that each GPU has a card.
        cards: with the prices that hold where none is declared.
        place: where an entry is written, by the list it is in and its index.
    """
    cards = tuple(cards)
    pools: dict[tuple[object, ...], Pool] = {}
    for index, host in enumerate(declared.hosts):
        kind = (host.gpu, host.count, host.price, host.memory)
        known = pools.get(kind)
        if known is None:
            source = place("hosts", index)
            pools[kind] = Pool(gpu=_as_declared(host, cards, source), per_host=host.count, source=source)
        else:
            pools[kind] = replace(known, hosts=(known.hosts or 0) + 1)
    rentable = []
    for index, kind_of_host in enumerate(declared.rentable):
        source = place("rentable", index)
        card = _as_declared(kind_of_host, cards, source)
        per_host = kind_of_host.per_host or card.gpus_per_host
        rentable.append(Pool(gpu=card, per_host=per_host, hosts=kind_of_host.hosts, source=source))
    return inventory_of([*pools.values(), *rentable])


def _left_out(gpu: Gpu, reason: str) -> str:
    return f"GPU {gpu.index} ({gpu.name}) is left out: {reason}"


def _as_reported(card: GpuCard, memory_bytes: int | None) -> GpuCard:
    """Return the card with the memory of this GPU, which differs with ECC and between makers' variants."""
    if memory_bytes is None:
        return card
    is_usual = card.memory_bytes <= memory_bytes <= card.memory_bytes * (1 + CUDA_KEEPS)
    return card if is_usual else replace(card, memory_bytes=memory_bytes)


def _as_declared(entry: Host | Rentable, cards: Iterable[GpuCard], source: str) -> GpuCard:
    card = find_gpu(cards, entry.gpu)
    if entry.memory is not None:
        card = replace(card, memory_bytes=int(entry.memory))
    if entry.price is not None:
        card = replace(card, price=Price(usd_per_h=float(entry.price), source=source, seen=None))
    return card
