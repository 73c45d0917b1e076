"""What there is to run on, and what of it is left for each service of a plan."""

from __future__ import annotations

from dataclasses import dataclass, field

from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.gpu_facts import find_gpu
from enova.core.inventory import HERE, Inventory, Pool, inventory_of
from enova.core.lockfile import Entry
from enova.core.observed import Observed, Unknown
from enova.core.recommend.fields import GPU
from enova.core.recommend.inputs import inventory_digest
from enova.core.resolve import resolve
from enova.core.spec import Service
from enova.knowledge import Knowledge

FOUND = frozenset({HERE, "placement.gpu_types", "CPU", "emulated"})
"""Sources of what is there without anybody having listed it: more of it is no reason to choose anew."""


@dataclass(slots=True, kw_only=True)
class Room:
    """What there is; what is chosen for one service is not there for the next."""

    knowledge: Knowledge
    observed: Observed
    _inventory: Inventory | Unknown | None = None
    _taken: dict[str, int] = field(default_factory=dict)

    def _everything(self) -> Inventory | Unknown:
        if self._inventory is None:
            self._inventory = self.knowledge.inventory(self.observed)
        return self._inventory

    def of(self, service: Service) -> Inventory | Unknown:
        """Return what there is for a service, whoever else is there."""
        if service.placement.accelerator == "cpu":
            return inventory_of([Pool(gpu=self.card("cpu"), per_host=1, hosts=None, source="CPU")])
        emulated = service.engine.extra_args.get("emulate_gpu")
        if service.engine.kind == "emulated":
            card = self.card(str(emulated))
            return inventory_of([Pool(gpu=card, per_host=card.gpus_per_host, hosts=None, source="emulated")])
        inventory = self._everything()
        if isinstance(inventory, Unknown):
            return inventory
        if not inventory.pools:
            named = [self.card(name) for name in service.placement.gpu_types]
            return inventory_of(
                Pool(gpu=card, per_host=card.gpus_per_host, hosts=None, source="placement.gpu_types")
                for card in named
            )
        meant = inventory.of_types(service.placement.gpu_types)
        return meant.on_devices(len(service.placement.devices)) if service.placement.devices else meant

    def left_for(self, service: Service) -> Inventory:
        """Return what is left of it for this service."""
        inventory = self.of(service)
        if isinstance(inventory, Unknown):
            return Inventory()
        if service.placement.devices:
            # Whether others hold the very ones that are named is for the plan to see.
            return inventory
        taken = dict(self._taken)
        pools = []
        for pool in inventory.pools:
            here = min(taken.get(pool.gpu.name, 0), pool.gpus or 0)
            taken[pool.gpu.name] = taken.get(pool.gpu.name, 0) - here
            pools.append(pool.without(here))
        return inventory_of(pools)

    def take(self, service: Service, entry: Entry) -> None:
        """Keep the GPUs of a service from the next ones."""
        gpu = entry.chosen.get(GPU)
        if isinstance(gpu, str):
            self._taken[gpu] = self._taken.get(gpu, 0) + _gpus_of(service, entry)

    def card(self, name: str) -> GpuCard:
        """Return the card of a GPU by name. Raises CannotModel."""
        return find_gpu(self.knowledge.gpus(), name)

    def rentable(self) -> Inventory:
        """Return all kinds of GPU that have a price, as many as one cares to rent."""
        return inventory_of(
            Pool(gpu=card, per_host=card.gpus_per_host, hosts=None, source="rentable")
            for card in self.knowledge.gpus()
            if card.price is not None and card.vendor != "cpu"
        )

    def has(self, service: Service, entry: Entry) -> bool:
        """Tell whether what was chosen before can be run on what there is. Raises CannotModel for unknown GPUs.

        Where there is nothing to run on, as in CI, or nobody can tell, what was chosen elsewhere holds.
        """
        inventory = self.of(service)
        if isinstance(inventory, Unknown) or not inventory.pools:
            return True
        if all(pool.source in FOUND for pool in inventory.pools):
            return _has_room(inventory, entry, _gpus_of(service, entry))
        return entry.inventory == inventory_digest(inventory)


def _gpus_of(service: Service, entry: Entry) -> int:
    resolved = resolve(service, entry.chosen)
    return resolved.replicas * resolved.service.gpus_per_replica


def _has_room(inventory: Inventory, entry: Entry, gpus: int) -> bool:
    """Tell whether what was chosen can run on what is there, however much more there may be."""
    gpu = entry.chosen.get(GPU)
    if gpu is None:
        return True
    rooms = [pool.gpus for pool in inventory.pools if pool.gpu.name == gpu]
    return any(room is None or room >= gpus for room in rooms)
