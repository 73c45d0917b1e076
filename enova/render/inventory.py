"""What there is to run on, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.text import Text

from enova.core.devices import foreign_gpus, holders
from enova.core.inventory import Inventory, Pool
from enova.core.observed import Gpu, GpuLink, GpuProcess, Instance, Unknown
from enova.render.table import table_text

SCHEMA_VERSION = 1
GIB = 1024**3
POOL_HEADINGS = ("GPU", "HOSTS", "PER HOST", "GPUS", "MEMORY", "$/H", "SOURCE")
GPU_HEADINGS = ("INDEX", "NAME", "MEMORY", "USED", "BY", "LINKS")
RIGHT = frozenset({"HOSTS", "PER HOST", "GPUS", "MEMORY", "$/H", "INDEX", "USED"})

Gpus = Sequence[Gpu] | Unknown


def inventory_text(inventory: Inventory | Unknown, gpus: Gpus, instances: Sequence[Instance]) -> Text:
    """Return a line for each pool, and one for each GPU of this host: GiB, and dollars for one GPU an hour."""
    text = Text()
    if isinstance(inventory, Inventory):
        if inventory.pools:
            text.append(table_text(POOL_HEADINGS, [_pool_row(pool) for pool in inventory.pools], right=RIGHT))
        for note in inventory.notes:
            text.append("note: ", "cyan").append(f"{note}\n")
    if isinstance(gpus, Unknown):
        return text.append("unknown: ", "magenta").append(f"{gpus.reason}\n")
    if not gpus:
        return text.append("This host has no NVIDIA GPU; replicas with `placement.accelerator: cpu` run on it\n")
    text.append("\n" if text.plain else "").append("This host\n", "bold")
    foreign = foreign_gpus(gpus, instances)
    rows = [_gpu_row(gpu, holders(gpu, instances), is_foreign=gpu in foreign) for gpu in gpus]
    return text.append(table_text(GPU_HEADINGS, rows, right=RIGHT))


def inventory_as_json(inventory: Inventory | Unknown, gpus: Gpus, instances: Sequence[Instance]) -> dict[str, Any]:
    """Return the stable JSON form.

    schema_version   1
    unknown          why it could not be told what there is to run on; null if it could
    pools            [{gpu, source, hosts, per_host, gpus, memory_bytes, usd_per_h, price_source}]; where there is
                     no limit, hosts and gpus are null
    notes            what was left out, and why
    host             {unknown, gpus: [{index, id, name, memory_bytes, used_bytes, instances: [target], foreign,
                     processes: [{pid, program, used_bytes}], links: [{to, nvlink, peer_to_peer, path}]}]};
                     what the driver does not tell is null, and unknown says why there are no GPUs
    """
    known = inventory if isinstance(inventory, Inventory) else Inventory()
    return {
        "schema_version": SCHEMA_VERSION,
        "unknown": inventory.reason if isinstance(inventory, Unknown) else None,
        "pools": [_pool_as_json(pool) for pool in known.pools],
        "notes": list(known.notes),
        "host": {
            "unknown": gpus.reason if isinstance(gpus, Unknown) else None,
            "gpus": [] if isinstance(gpus, Unknown) else _gpus_as_json(gpus, instances),
        },
    }


def _pool_row(pool: Pool) -> tuple[str, ...]:
    price = pool.gpu.price
    return (
        pool.gpu.name,
        "any" if pool.hosts is None else str(pool.hosts),
        str(pool.per_host),
        "any" if pool.gpus is None else str(pool.gpus),
        f"{pool.gpu.memory_bytes / GIB:.2f}",
        "-" if price is None else f"{price.usd_per_h:.2f}",
        pool.source,
    )


def _gpu_row(gpu: Gpu, held_by: Sequence[str], *, is_foreign: bool) -> tuple[str, ...]:
    return (
        str(gpu.index),
        gpu.name,
        _gib(gpu.memory_bytes),
        _gib(gpu.used_bytes),
        ", ".join(held_by) or _programs(gpu, is_foreign=is_foreign),
        _links(gpu.links),
    )


def _gib(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else f"{size_bytes / GIB:.2f}"


def _programs(gpu: Gpu, *, is_foreign: bool) -> str:
    if isinstance(gpu.processes, Unknown):
        return "unknown"
    named = (f"{process.program or 'a program'} (pid {process.pid})" for process in gpu.processes)
    return ", ".join(named) or ("others" if is_foreign else "-")


def _links(links: Iterable[GpuLink]) -> str:
    """Return to which GPUs there is which way: `NVLink 1-3; across NUMA nodes 4-7`."""
    ways: dict[str, list[int]] = {}
    for link in links:
        ways.setdefault(_way(link), []).append(link.to)
    return "; ".join(f"{way} {_ranges(to)}" for way, to in ways.items()) or "-"


def _way(link: GpuLink) -> str:
    if link.nvlink:
        return "NVLink"
    way = str(link.path or "unknown")
    return f"{way}, peer to peer" if link.peer_to_peer else way


def _ranges(numbers: Iterable[int]) -> str:
    """Return `1-3,5` for 1, 2, 3 and 5."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _pool_as_json(pool: Pool) -> dict[str, Any]:
    price = pool.gpu.price
    return {
        "gpu": pool.gpu.name,
        "source": pool.source,
        "hosts": pool.hosts,
        "per_host": pool.per_host,
        "gpus": pool.gpus,
        "memory_bytes": pool.gpu.memory_bytes,
        "usd_per_h": price.usd_per_h if price else None,
        "price_source": price.source if price else None,
    }


def _gpus_as_json(gpus: Sequence[Gpu], instances: Sequence[Instance]) -> list[dict[str, Any]]:
    foreign = foreign_gpus(gpus, instances)
    return [
        {
            "index": gpu.index,
            "id": gpu.id,
            "name": gpu.name,
            "memory_bytes": gpu.memory_bytes,
            "used_bytes": gpu.used_bytes,
            "instances": list(holders(gpu, instances)),
            "foreign": gpu in foreign,
            "processes": None if isinstance(gpu.processes, Unknown) else [_process(p) for p in gpu.processes],
            "links": [_link(link) for link in gpu.links],
        }
        for gpu in gpus
    ]


def _process(process: GpuProcess) -> dict[str, Any]:
    return {"pid": process.pid, "program": process.program, "used_bytes": process.used_bytes}


def _link(link: GpuLink) -> dict[str, Any]:
    path = str(link.path) if link.path else None
    return {"to": link.to, "nvlink": link.nvlink, "peer_to_peer": link.peer_to_peer, "path": path}
