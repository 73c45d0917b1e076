"""What makes a choice outdated, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from enova.core.engine.gpu_card import Price
from enova.core.inventory import Pool, inventory_of
from enova.core.recommend.inputs import inputs_digest, inventory_digest
from enova.core.spec import Service
from tests.core.recommend.asking import pool, service, traffic


def digest(written: Service, **contents: str) -> str:
    return inputs_digest(written, lambda file: contents.get(file.rpartition("/")[2].partition(".")[0], "-"))


@pytest.mark.parametrize(
    "sections",
    [
        {"slo": {"tpot": {"p95": "61ms"}}},
        {"slo": {"tpot": {"p99": "60ms"}}},
        {"injection": traffic(3)},
        {"injection": traffic(2, burst=1.5)},
        {"budget": {"gpus": 4}},
        {"model": "Qwen/Qwen2.5-0.5B-Instruct"},
        {"engine": {"max_num_seqs": 8}},
        {"engine": {"may_quantize": ["kv_cache"]}},
        {"placement": {"gpu_types": ["L4"]}},
        {"scaling": {"max": 4}},
        {"gateway": {"policy": "cache_aware"}},
    ],
    ids=str,
)
def test_what_choices_depend_on_is_in_the_digest(sections: dict[str, Any]) -> None:
    assert digest(service(**sections)) != digest(service())


@pytest.mark.parametrize(
    "sections",
    [
        {"engine": {"env": {"A": "b"}, "image": "mine:1", "shm_size": "1GiB", "secrets": {"KEY": {"env": "KEY"}}}},
        {"gateway": {"port": 9300, "host": "0.0.0.0"}},
        {"rollout": {"surge": 2}},
        {"scaling": {"idle_to_zero": "30m", "mode": "auto"}},
        {"metadata": {"name": "renamed", "labels": {"team": "search"}}},
        {"placement": {"runtime": "process"}},
        {"suspend": True},
    ],
    ids=str,
)
def test_what_makes_no_difference_to_choices_is_not(sections: dict[str, Any]) -> None:
    assert digest(service(**sections)) == digest(service())


def test_it_is_pinned_so_that_no_upgrade_chooses_anew() -> None:
    assert digest(service()) == "v1:b73a3dc23dd0f020"


def trace(file: str) -> Service:
    return service(injection={"arrival": {"process": "trace", "file": file}})


def test_a_file_counts_by_what_is_in_it_and_not_by_where_it_lies() -> None:
    here, there = (digest(trace(f"/{folder}/monday.csv"), monday="abc") for folder in ("here", "there"))

    assert here == there
    assert digest(trace("/here/monday.csv"), monday="other") != here


def test_a_model_in_a_folder_counts_by_its_config() -> None:
    local = service(model="/models/mine")

    assert digest(local, mine="a") != digest(local, mine="b")
    assert digest(local, mine="a") == digest(service(model="/elsewhere/mine"), mine="a")


def with_price(usd_per_h: float, seen: str | None) -> Pool:
    from datetime import date

    there = pool("l4")
    price = Price(usd_per_h=usd_per_h, source="me", seen=date.fromisoformat(seen) if seen else None)
    return replace(there, gpu=replace(there.gpu, price=price))


class TestInventory:
    """What there is to run on."""

    def test_the_order_of_pools_and_where_they_are_written_make_no_difference(self) -> None:
        one, other = pool("l4", source="a.yaml:1"), pool("l40s", source="a.yaml:2")
        moved = [replace(other, source="b.yaml:7"), replace(one, source="b.yaml:9")]

        assert inventory_digest(inventory_of([one, other])) == inventory_digest(inventory_of(moved))

    @pytest.mark.parametrize("changes", [{"per_host": 2}, {"hosts": 3}], ids=str)
    def test_how_much_there_is_does(self, changes: dict[str, Any]) -> None:
        assert inventory_digest(inventory_of([pool("l4", **changes)])) != inventory_digest(
            inventory_of([pool("l4")])
        )

    def test_a_price_counts_where_it_is_the_users_own(self) -> None:
        """A list price that moves on the market is no reason to restart engines."""
        own = [inventory_digest(inventory_of([with_price(usd, None)])) for usd in (1.0, 2.0)]
        listed = [inventory_digest(inventory_of([with_price(usd, "2026-01-01")])) for usd in (1.0, 2.0)]

        assert (own[0] != own[1], listed[0] == listed[1]) == (True, True)

    def test_memory_that_a_driver_reports_a_bit_differently_makes_no_difference(self) -> None:
        there = pool("l4")
        near = replace(there, gpu=replace(there.gpu, memory_bytes=there.gpu.memory_bytes - 2**20))

        assert inventory_digest(inventory_of([near])) == inventory_digest(inventory_of([there]))
