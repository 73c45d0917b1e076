"""What there is to run on: from what NVML tells and from what is declared to pools, and the choice among them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from enova.adapters.facts import gpu_cards
from enova.core.devices import named, take
from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.gpu_facts import find_gpu
from enova.core.inventory import Inventory, Pool, inventory_declared, inventory_here, inventory_of
from enova.core.observed import Gpu
from enova.core.spec.inventory import DeclaredInventory
from tests.staging import GIB, gpus, instance, replica

CARDS = gpu_cards()
H100, L40S = (find_gpu(CARDS, name) for name in ("H100", "L40S"))


def pool(name: str, **changes: Any) -> Pool:
    values: dict[str, Any] = {"gpu": find_gpu(CARDS, name), "per_host": 8, "source": "inventory.yaml:1"}
    return Pool(**(values | changes))


def one(name: str, index: int = 0, memory_gib: float = 80, used_gib: float = 0) -> Gpu:
    [gpu] = gpus(1, name=name, memory_bytes=round(memory_gib * GIB), used_bytes=round(used_gib * GIB))
    return replace(gpu, id=f"GPU-{index}", index=index)


def declared(**lists: Any) -> Inventory:
    checked = DeclaredInventory.model_validate(lists)
    return inventory_declared(checked, CARDS, lambda part, index: f"{part}[{index}]")


def shown(inventory: Inventory) -> list[str]:
    return [f"{pool.hosts}x{pool.per_host} {pool.gpu.name} ({pool.source})" for pool in inventory.pools]


class TestHere:
    """This host."""

    def test_gpus_of_a_kind_are_one_pool(self) -> None:
        seen = [one("NVIDIA H100 80GB HBM3", 0), one("NVIDIA L40S", 1, 44.99), one("NVIDIA H100 80GB HBM3", 2)]

        assert shown(inventory_here(seen, CARDS)) == ["1x2 h100-sxm (this host)", "1x1 l40s (this host)"]

    def test_without_gpus_it_is_empty_and_nothing_was_left_out(self) -> None:
        assert inventory_here([], CARDS) == Inventory()

    def test_memory_is_what_cuda_has_of_what_nvml_tells(self) -> None:
        """NVML tells 79.65 GiB of an H100, of which CUDA has 79.19: the figure of the facts."""
        [found] = inventory_here([one("NVIDIA H100 80GB HBM3", memory_gib=79.65)], CARDS).pools

        assert found.gpu == H100

    @pytest.mark.parametrize("memory_gib", [64, 96])
    def test_a_variant_with_other_memory_has_what_is_reported(self, memory_gib: float) -> None:
        [found] = inventory_here([one("NVIDIA H100 80GB HBM3", memory_gib=memory_gib)], CARDS).pools

        assert found.gpu == replace(H100, memory_bytes=round(memory_gib * GIB))

    def test_a_gpu_whose_memory_is_not_known_has_that_of_its_facts(self) -> None:
        [gpu] = gpus(1, memory_bytes=None, used_bytes=None)

        assert inventory_here([gpu], CARDS).pools[0].gpu == H100

    def test_gpus_of_a_kind_with_different_memory_are_two_pools(self) -> None:
        seen = [one("NVIDIA H100 80GB HBM3", 0), one("NVIDIA H100 80GB HBM3", 1, 64)]

        assert [found.gpus for found in inventory_here(seen, CARDS).pools] == [1, 1]

    def test_a_gpu_that_strangers_compute_on_is_not_counted_and_named(self) -> None:
        found = inventory_here([one("NVIDIA L40S", 0, 45), one("NVIDIA L40S", 1, 45, used_gib=20)], CARDS)

        assert shown(found) == ["1x1 l40s (this host)"]
        assert found.notes == ("GPU 1 (NVIDIA L40S) is left out: others compute on it",)

    def test_a_gpu_that_one_of_ours_fills_is_counted(self) -> None:
        ours = instance(replica(devices=("GPU-0",)))

        found = inventory_here([one("NVIDIA L40S", 0, 45, used_gib=40)], CARDS, [ours])

        assert (shown(found), found.notes) == (["1x1 l40s (this host)"], ())

    def test_a_gpu_there_are_no_facts_for_is_left_out_and_named(self) -> None:
        found = inventory_here([one("NVIDIA Quadro K620"), one("NVIDIA L40S", 1, 45)], CARDS)

        assert shown(found) == ["1x1 l40s (this host)"]
        [note] = found.notes
        assert note.startswith("GPU 0 (NVIDIA Quadro K620) is left out: there are no facts for it")


class TestDeclared:
    """A file."""

    def test_hosts_that_are_alike_are_one_pool_where_the_first_is_written(self) -> None:
        found = declared(
            hosts=[
                {"name": "a", "gpu": "h100-sxm", "count": 8, "price": "2.10 USD/h"},
                {"name": "b", "gpu": "l40s", "count": 2},
                {"name": "c", "gpu": "h100-sxm", "count": 8, "price": "2.1 USD/h"},
                {"name": "d", "gpu": "h100-sxm", "count": 4, "price": "2.1 USD/h"},
            ]
        )

        assert shown(found) == ["2x8 h100-sxm (hosts[0])", "1x4 h100-sxm (hosts[3])", "1x2 l40s (hosts[1])"]

    def test_what_one_might_rent_is_without_limit_unless_there_is_one(self) -> None:
        found = declared(rentable=[{"gpu": "h100-nvl"}, {"gpu": "h200-sxm", "per_host": 4, "hosts": 3}])

        assert shown(found) == ["Nonex2 h100-nvl (rentable[0])", "3x4 h200-sxm (rentable[1])"]
        assert [pool.gpus for pool in found.pools] == [None, 12]

    def test_the_price_and_the_memory_declared_go_before_those_of_facts(self) -> None:
        [found] = declared(rentable=[{"gpu": "h100-sxm", "price": "1.99 USD/h", "memory": "78GiB"}]).pools

        assert found.gpu.price is not None
        assert (found.gpu.price.usd_per_h, found.gpu.price.source) == (1.99, "rentable[0]")
        assert found.gpu.memory_bytes == 78 * GIB

    def test_without_them_the_card_is_as_it_is_known(self) -> None:
        [found] = declared(hosts=[{"name": "a", "gpu": "l40s", "count": 1}]).pools

        assert found.gpu == L40S


class TestOfTypes:
    """What users mean by `placement.gpu_types`."""

    ALL = inventory_of(
        [pool("h100-sxm"), pool("h100-pcie"), pool("l40s"), pool("l4"), pool("rtx-4090")], ["a note"]
    )

    @pytest.mark.parametrize(
        ("names", "chosen"),
        [
            ([], ["h100-pcie", "h100-sxm", "l4", "l40s", "rtx-4090"]),
            (["h100-sxm"], ["h100-sxm"]),
            (["H100_SXM"], ["h100-sxm"]),
            (["NVIDIA H100 80GB HBM3"], ["h100-sxm"]),
            (["nvidia-h100-80gb-hbm3"], ["h100-sxm"]),
            (["H100"], ["h100-pcie", "h100-sxm"]),
            (["H100 PCIe"], ["h100-pcie"]),
            (["L4"], ["l4"]),
            (["L40S", "l4"], ["l4", "l40s"]),
            (["RTX 4090"], ["rtx-4090"]),
            (["RTX4090"], ["rtx-4090"]),
            (["A100"], []),
        ],
    )
    def test_a_name_chooses_the_pools_whose_gpu_is_called_so(self, names: list[str], chosen: list[str]) -> None:
        assert [pool.gpu.name for pool in self.ALL.of_types(names).pools] == chosen

    @pytest.mark.parametrize(
        "name",
        ["H100", "NVIDIA H100 80GB HBM3", "L4", "L40S", "RTX-4090", "A100", "HBM3", "h100_sxm", "h100-pcie"],
    )
    def test_what_would_be_handed_out_for_a_name_here_is_chosen_by_it(self, name: str) -> None:
        """A plan must not be refused for want of GPUs that the next one takes."""
        names = [
            "NVIDIA H100 80GB HBM3",
            "NVIDIA H100 PCIe",
            "NVIDIA L40S",
            "NVIDIA L4",
            "NVIDIA GeForce RTX 4090",
        ]
        for told in names:
            is_taken = take(list(named([one(told)], CARDS)), 1, allowed=(), types=(name,)) is not None
            is_chosen = bool(inventory_here([one(told)], CARDS).of_types([name]).pools)

            assert is_chosen == is_taken, told

    @pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
    def test_the_name_of_a_card_means_that_card_alone(self, card: GpuCard) -> None:
        everything = inventory_of(pool(card.name) for card in CARDS)

        assert [pool.gpu.name for pool in everything.of_types([card.name]).pools] == [card.name]

    def test_what_was_left_out_is_still_told(self) -> None:
        assert self.ALL.of_types(["l4"]).notes == ("a note",)


def test_pools_come_in_one_order_and_without_empty_ones() -> None:
    pools = [pool("l40s"), pool("h100-sxm", source="b"), pool("h100-sxm", source="a"), pool("l4", hosts=0)]

    found = inventory_of(pools)

    assert found == inventory_of(pools[::-1])
    assert shown(found) == ["1x8 h100-sxm (a)", "1x8 h100-sxm (b)", "1x8 l40s (inventory.yaml:1)"]


@pytest.mark.parametrize(
    ("hosts", "gpus_each", "replicas"),
    [(2, 1, 16), (2, 3, 4), (2, 8, 2), (2, 9, 0), (None, 4, None), (None, 9, 0)],
)
def test_a_replica_lives_on_one_host(hosts: int | None, gpus_each: int, replicas: int | None) -> None:
    assert pool("h100-sxm", hosts=hosts).replicas(gpus_each) == replicas


@pytest.mark.parametrize(("taken", "left"), [(0, 16), (8, 8), (12, 4), (16, 0), (99, 0)])
def test_what_others_took_is_gone(taken: int, left: int) -> None:
    assert pool("h100-sxm", hosts=2).without(taken).gpus == left
