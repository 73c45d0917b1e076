"""What there is to run on, and what of it is left for each service of a plan."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field

from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.gpu_facts import find_gpu
from enova.core.inventory import HERE, Inventory, Pool, inventory_of
from enova.core.lockfile import Entry
from enova.core.observed import Observed, Unknown
from enova.core.recommend.fields import GPU, Chosen
from enova.core.recommend.inputs import inventory_digest
from enova.core.resolve import resolve
from enova.core.spec import Service
from enova.errors import CannotModel
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

    def take(self, service: Service, chosen: Chosen) -> None:
        """Keep the GPUs of a service from the next ones: of the kind chosen, or of the only one there is."""
        gpu = chosen.get(GPU)
        if gpu is None:
            kinds = self._kinds(service)
            gpu = kinds.pop() if len(kinds) == 1 else None
        if isinstance(gpu, str):
            self._taken[gpu] = self._taken.get(gpu, 0) + _gpus_of(service, chosen)

    def _kinds(self, service: Service) -> set[str]:
        try:
            inventory = self.of(service)
        except CannotModel:
            return set()
        return set() if isinstance(inventory, Unknown) else {pool.gpu.name for pool in inventory.pools}

    def leave(self, services: Collection[str]) -> None:
        """Leave the GPUs of this host that services other than these hold to them."""
        inventory = self._everything()
        if isinstance(inventory, Unknown) or any(pool.source != HERE for pool in inventory.pools):
            return
        gpus = () if isinstance(self.observed.gpus, Unknown) else self.observed.gpus
        names = {name: gpu.name for gpu in gpus for name in (gpu.id, str(gpu.index))}
        for instance in self.observed.instances():
            held = [names[device] for device in instance.devices if device in names]
            for name in held if instance.service not in services else ():
                with suppress(CannotModel):
                    kind = self.card(name).name
                    self._taken[kind] = self._taken.get(kind, 0) + 1

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
            return _has_room(inventory, entry, _gpus_of(service, entry.chosen))
        return entry.inventory == inventory_digest(inventory)


def _gpus_of(service: Service, chosen: Chosen) -> int:
    resolved = resolve(service, chosen)
    return resolved.replicas * resolved.service.gpus_per_replica


def _has_room(inventory: Inventory, entry: Entry, gpus: int) -> bool:
    """Tell whether what was chosen can run on what is there, however much more there may be."""
    gpu = entry.chosen.get(GPU)
    if gpu is None:
        return True
    rooms = [pool.gpus for pool in inventory.pools if pool.gpu.name == gpu]
    return any(room is None or room >= gpus for room in rooms)
