"""A declared inventory, from its file to pools, or to every problem with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from enova.adapters.facts import gpu_cards
from enova.adapters.specfiles import read_inventory
from enova.core.inventory import Inventory
from enova.errors import InventoryError

CARDS = gpu_cards()
DOCS = Path(__file__).parents[2] / "docs" / "inventory.md"


def read(tmp_path: Path, text: str | bytes) -> Inventory:
    path = tmp_path / "inventory.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_inventory(path, CARDS)


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    with pytest.raises(InventoryError) as caught:
        read(tmp_path, text)
    return [str(problem).removeprefix(f"{tmp_path}/inventory.yaml:") for problem in caught.value.problems]


def test_pools_know_the_line_they_are_declared_in(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "hosts:\n"
        "  - {name: a, gpu: H100, count: 8, price: 2.10 USD/h}\n"
        "  - name: b\n    gpu: L40S\n    count: 2\n"
        "rentable:\n"
        "  - {gpu: h200-sxm, price: 3.59 USD/h, hosts: 4}\n",
    )

    assert [(pool.gpu.name, pool.hosts, pool.per_host, pool.source) for pool in found.pools] == [
        ("h100-sxm", 1, 8, "inventory.yaml:2"),
        ("h200-sxm", 4, 8, "inventory.yaml:7"),
        ("l40s", 1, 2, "inventory.yaml:3"),
    ]


def test_anchors_merge_and_notes_may_be_empty(tmp_path: Path) -> None:
    text = (
        "x-note:\n"
        "x-node: &node {gpu: L40S, count: 4}\n"
        "hosts:\n"
        "  - {<<: *node, name: a}\n"
        "  - {<<: *node, name: b}\n"
    )

    assert [(pool.hosts, pool.source) for pool in read(tmp_path, text).pools] == [(2, "inventory.yaml:4")]


def test_every_problem_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    text = (
        "hosts:\n"
        "  - {name: a, gpu: h100-smx, count: 8}\n"
        "  - {name: b, gpu: 4090, count: , price: 3}\n"
        "rentable:\n"
        "  - {gpu: L40S, limit: 4}\n"
    )

    assert problems(tmp_path, text) == [
        "2:20: hosts[0].gpu: no GPU is called h100-smx (hint: did you mean h100-sxm?)",
        "3:20: hosts[1].gpu: must be text, not a whole number (hint: put it in quotes)",
        "3:33: hosts[1].count: must not be empty (hint: give it a value or remove the key)",
        "3:42: hosts[1].price: needs a unit: an amount of money per hour (hint: write 3 USD/h)",
        "5:17: rentable[0].limit: unknown key (hint: known here: gpu, price, per_host, hosts, memory)",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: holds no inventory (hint: see docs/inventory.md)"),
        ("# nothing\n---\n", "1:1: holds no inventory (hint: see docs/inventory.md)"),
        ("- a\n", "1:1: must be a mapping, not a list"),
        ("hosts: [\n", "2:1: is not valid YAML: did not find expected node content while parsing a flow node"),
        (b"hosts: \xff", "1:8: is not UTF-8: byte 0xff (hint: save it as UTF-8)"),
        (
            "rentable: [{gpu: L4}]\n---\nhosts: []\n",
            "3:1: a second document: an inventory is one (hint: put all hosts into one list)",
        ),
    ],
)
def test_what_is_no_inventory_is_refused_at_its_place(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert problems(tmp_path, text) == [said]


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(InventoryError, match="cannot be read: No such file or directory") as caught:
        read_inventory(tmp_path / "none.yaml", CARDS)

    assert caught.value.what == "the inventory"


def test_the_documented_example_is_read(tmp_path: Path) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)

    assert len(read(tmp_path, example).pools) == 4
