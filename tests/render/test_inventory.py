"""Pools and GPUs as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enova.core.inventory import Inventory
from enova.core.observed import GpuLink, GpuProcess, LinkPath
from enova.render.inventory import inventory_text
from tests.staging import GIB, gpus


def shown(*links: GpuLink) -> str:
    """Return the last column, from where its heading begins."""
    [gpu] = gpus(1)
    *_, headings, row = inventory_text(Inventory(), [replace(gpu, links=links)], []).plain.splitlines()
    return row[headings.index("LINKS") :]


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ([], "-"),
        ([GpuLink(to=n, nvlink=True, peer_to_peer=True, path=LinkPath.SYSTEM) for n in (1, 2, 3)], "NVLink 1-3"),
        ([GpuLink(to=n, nvlink=True) for n in (1, 2, 3, 5, 7, 8)], "NVLink 1-3,5,7-8"),
        (
            [
                GpuLink(to=1, nvlink=False, peer_to_peer=True, path=LinkPath.SWITCH),
                GpuLink(to=2, nvlink=False, peer_to_peer=False, path=LinkPath.SYSTEM),
            ],
            "one PCIe switch, peer to peer 1; across NUMA nodes 2",
        ),
        ([GpuLink(to=1)], "unknown 1"),
    ],
)
def test_links_are_told_by_way_with_the_gpus_each_leads_to(links: list[GpuLink], said: str) -> None:
    assert shown(*links) == said


def test_memory_that_is_not_known_is_not_told_to_be_none() -> None:
    text = inventory_text(Inventory(), gpus(1, memory_bytes=None, used_bytes=None), []).plain

    assert text.splitlines()[-1].split() == ["0", "NVIDIA", "H100", "80GB", "HBM3", "-", "-", "-", "-"]


def test_programs_are_told_by_name_and_number_and_one_without_a_name_by_its_number() -> None:
    [gpu] = gpus(1, used_bytes=60 * GIB)
    processes = (GpuProcess(pid=7), GpuProcess(pid=9, program="python3"))

    text = inventory_text(Inventory(), [replace(gpu, processes=processes)], []).plain

    assert "  a program (pid 7), python3 (pid 9)  " in text
