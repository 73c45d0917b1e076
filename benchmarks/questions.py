"""Questions to the recommender, as a spec and an inventory make them. Used by the benchmarks of choices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_card, gpu_cards, model_card
from enova.adapters.model_error import measured_error
from enova.core.inventory import Inventory, Pool, inventory_of
from enova.core.recommend.demand import BURST, demand_of, with_assumed_lengths
from enova.core.recommend.question import Evidence, Question
from enova.core.simulate.promises import promises_of
from enova.core.spec import Service
from enova.core.workload.load import load_of

TEN_TYPES = (
    "a100-sxm-80gb",
    "a10g",
    "b200",
    "h100-sxm",
    "h200-sxm",
    "l4",
    "l40s",
    "mi300x",
    "rtx-4090",
    "rtx-pro-6000-server",
)


def service_of(model: str, *, name: str = "chat", rate: float, **sections: Any) -> Service:
    """Return a service under Poisson arrivals, with lengths left to what is assumed."""
    written = {
        "metadata": {"name": name},
        "model": {"id": model},
        "injection": {"arrival": {"process": "poisson", "rate": f"{rate:g}/s"}},
    }
    return Service.model_validate(written | sections)


def rentable(names: Iterable[str] = TEN_TYPES) -> Inventory:
    """Return as many hosts of each kind as one cares to rent."""
    cards = [gpu_card(name) for name in names]
    return inventory_of(
        Pool(gpu=card, per_host=card.gpus_per_host, hosts=None, source="rentable") for card in cards
    )


def owned(gpu: str, count: int) -> Inventory:
    """Return one host with so many GPUs."""
    return inventory_of([Pool(gpu=gpu_card(gpu), per_host=count, hosts=1, source="this host")])


def all_rentable() -> Inventory:
    """Return every kind of GPU that has a price, which is what is suggested where nothing will do."""
    return rentable(card.name for card in gpu_cards() if card.price is not None and card.vendor != "cpu")


def question_of(service: Service, inventory: Inventory) -> Question:
    """Return what is asked about a service."""
    injection, _ = with_assumed_lengths(service.injection)
    return Question(
        service=service,
        model=model_card(service.model.id),
        inventory=inventory,
        demand=demand_of(load_of(injection), injection.burst or BURST),
        promises=promises_of(service.slo),
        evidence=Evidence(curves=measured_curves(), error=measured_error()),
    )
