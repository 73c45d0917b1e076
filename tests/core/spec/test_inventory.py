# ruff: noqa: E501 - one mistake a line
"""A declared inventory: what is refused, in which words."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from enova.core.spec.check import check_as
from enova.core.spec.inventory import DeclaredInventory
from enova.core.spec.schema import inventory_schema
from enova.errors import CannotModel

VALIDATOR = jsonschema.Draft7Validator(inventory_schema())
HOST: dict[str, Any] = {"name": "gpu-1", "gpu": "H100", "count": 8}


def find_gpu(name: str) -> str:
    if name.lower().startswith("h100"):
        return "h100-sxm"
    raise CannotModel(f"no GPU is called {name}", hint="did you mean h100-sxm?")


def check(data: object) -> tuple[DeclaredInventory | None, list[str]]:
    declared, found = check_as(DeclaredInventory, data, {"find_gpu": find_gpu})
    return declared, [
        ".".join(map(str, item.loc)) + f": {item.message}" + (f" ({item.hint})" if item.hint else "")
        for item in found
    ]


def test_a_gpu_by_any_name_becomes_its_card() -> None:
    declared, found = check({"hosts": [HOST], "rentable": [{"gpu": "h100_SXM"}]})

    assert found == []
    assert declared is not None
    assert [declared.hosts[0].gpu, declared.rentable[0].gpu] == ["h100-sxm", "h100-sxm"]


def test_notes_and_anchors_have_a_place_at_the_top() -> None:
    _, found = check({"x-owner": "search", "hosts": [HOST]})

    assert found == []


def test_a_host_with_two_kinds_of_gpu_is_written_once_for_each() -> None:
    declared, found = check_as(DeclaredInventory, {"hosts": [HOST, HOST | {"gpu": "L40S", "count": 2}]}, {})

    assert found == []
    assert declared is not None
    assert len(declared.hosts) == 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, ": must name hosts or rentable kinds (see docs/inventory.md)"),
        ([HOST], ": must be a mapping, not a list"),
        ({"hosts": []}, "hosts: must have at least 1 entry"),
        ({"hosts": HOST}, "hosts: must be a list, not a mapping"),
        ({"host": [HOST]}, "host: unknown key (did you mean hosts?)"),
        ({"hosts": [HOST | {"gpus": 8}]}, "hosts.0.gpus: unknown key (did you mean gpu?)"),
        ({"hosts": [HOST | {"cost": 8}]}, "hosts.0.cost: unknown key (known here: name, gpu, count, price, memory)"),
        ({"hosts": [HOST | {"gpu": "V9000"}]}, "hosts.0.gpu: no GPU is called V9000 (did you mean h100-sxm?)"),
        ({"hosts": [HOST | {"gpu": 4090}]}, "hosts.0.gpu: must be text, not a whole number (put it in quotes)"),
        ({"hosts": [HOST | {"count": 0}]}, "hosts.0.count: must be at least 1"),
        ({"hosts": [HOST | {"count": "8"}]}, "hosts.0.count: must be a whole number, not text (remove the quotes)"),
        ({"hosts": [HOST | {"price": 2.1}]}, "hosts.0.price: needs a unit: an amount of money per hour (write 2.1 USD/h)"),
        ({"hosts": [HOST | {"price": "$2"}]}, "hosts.0.price: '$2' is not an amount of money per hour (write it like 12 USD/h or 0.85 USD/h)"),
        ({"hosts": [HOST | {"memory": "0GiB"}]}, "hosts.0.memory: must be more than 0B"),
        ({"hosts": [HOST | {"name": "a b"}]}, "hosts.0.name: must be text without spaces that is not empty"),
        ({"hosts": [{"name": "a", "gpu": "H100"}]}, "hosts.0.count: is required"),
        ({"hosts": [HOST, HOST | {"gpu": "h100-sxm", "count": 2}]}, "hosts.1: gpu-1 with h100-sxm is written twice (add up the counts)"),
        ({"rentable": [{"gpu": "H100", "hosts": 0}]}, "rentable.0.hosts: must be at least 1"),
        ({"rentable": [{"gpu": "H100", "name": "a"}]}, "rentable.0.name: unknown key (did you mean hosts.name?)"),
        ({"rentable": [{"per_host": 8}]}, "rentable.0.gpu: is required"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_in_plain_words(data: object, said: str) -> None:
    assert check(data)[1] == [said]


def test_mistakes_are_found_all_at_once() -> None:
    _, found = check({"hosts": [HOST | {"gpu": "V1"}, HOST | {"count": -1}], "rentable": [{"gpu": "V2", "x": 1}]})

    assert [line.partition(":")[0] for line in found] == [
        "hosts.0.gpu",
        "hosts.1.count",
        "rentable.0.gpu",
        "rentable.0.x",
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"hosts": []},
        {"host": [HOST]},
        {"hosts": [HOST | {"count": 0}]},
        {"hosts": [HOST | {"price": 2.1}]},
        {"hosts": [HOST | {"memory": "80"}]},
        {"hosts": [{"gpu": "H100", "count": 1}]},
        {"rentable": [{"gpu": "H100", "hosts": 0}]},
        {"rentable": [{"gpu": 4090}]},
    ],
)
def test_what_is_broken_is_broken_for_editors_too(broken: object) -> None:
    assert check(broken)[1]
    assert not VALIDATOR.is_valid(broken)
