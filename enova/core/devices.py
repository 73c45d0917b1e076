"""Which GPUs a replica gets. Reads what holds them now, so it needs no memory of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.gpu_facts import find_gpu, folded
from enova.core.observed import Gpu, Instance
from enova.errors import CannotModel

FOREIGN_USE = 0.05
"""A GPU that nothing of ours holds and that has more than this share of its memory in use is somebody else's."""


def free_gpus(gpus: Sequence[Gpu], instances: Iterable[Instance]) -> list[Gpu]:
    """Return the GPUs no instance of ours holds, whatever its state, and no stranger uses, by index.

    An instance that is stopped keeps its GPUs: it will be started again with the very same ones.
    """
    held = _held(instances)
    return sorted((gpu for gpu in gpus if not _is_held(gpu, held) and not _is_in_use(gpu)), key=_index)


def foreign_gpus(gpus: Sequence[Gpu], instances: Iterable[Instance]) -> list[Gpu]:
    """Return the GPUs that strangers compute on, by index."""
    held = _held(instances)
    return sorted((gpu for gpu in gpus if not _is_held(gpu, held) and _is_in_use(gpu)), key=_index)


def holders(gpu: Gpu, instances: Iterable[Instance]) -> tuple[str, ...]:
    """Return the targets (`chat#0`) of our instances that hold a GPU."""
    return tuple(sorted(i.target for i in instances if _is_held(gpu, frozenset(i.devices))))


def take(free: list[Gpu], count: int, *, allowed: Sequence[str], types: Sequence[str]) -> tuple[str, ...] | None:
    """Take `count` GPUs off `free` and return their ids; None, with `free` untouched, if there are too few.

    `allowed` are indices or UUIDs the user pinned, `types` are GPU names ("H100", "h100-sxm"); empty means any.
    """
    fit = [gpu for gpu in free if _allowed(gpu, allowed) and _typed(gpu, types)]
    if len(fit) < count:
        return None
    taken = fit[:count]
    for gpu in taken:
        free.remove(gpu)
    return tuple(gpu.id for gpu in taken)


def is_meant(names: Iterable[str], wanted: str) -> bool:
    """Tell whether a user who writes `wanted` may mean a GPU of these names.

    It is one of them however it is written, or whole words of one: "H100" is an H100 PCIe, "L4" is not an L40S.
    """
    return any(folded(name) == folded(wanted) or _contains(_words(name), _words(wanted)) for name in names)


def named(gpus: Sequence[Gpu], cards: Iterable[GpuCard]) -> tuple[Gpu, ...]:
    """Return the GPUs with the names their cards have, so that they can be chosen by any of them."""
    cards = tuple(cards)
    return tuple(replace(gpu, also_called=_names(gpu, cards)) for gpu in gpus)


def _names(gpu: Gpu, cards: Sequence[GpuCard]) -> tuple[str, ...]:
    try:
        card = find_gpu(cards, gpu.name)
    except CannotModel:
        return ()
    return (card.name, *card.aliases)


def _held(instances: Iterable[Instance]) -> frozenset[str]:
    return frozenset(device for instance in instances for device in instance.devices)


def _is_held(gpu: Gpu, held: frozenset[str]) -> bool:
    return gpu.id in held or str(gpu.index) in held


def _is_in_use(gpu: Gpu) -> bool:
    if gpu.memory_bytes is None or gpu.used_bytes is None:
        # Free only if it is known that nothing runs on it.
        return gpu.processes != ()
    return gpu.used_bytes > FOREIGN_USE * gpu.memory_bytes


def _index(gpu: Gpu) -> int:
    return gpu.index


def _allowed(gpu: Gpu, allowed: Sequence[str]) -> bool:
    return not allowed or gpu.id in allowed or str(gpu.index) in allowed


def _typed(gpu: Gpu, types: Sequence[str]) -> bool:
    return not types or any(is_meant((gpu.name, *gpu.also_called), wanted) for wanted in types)


def _words(name: str) -> list[str]:
    return name.lower().replace("-", " ").split()


def _contains(name: list[str], wanted: list[str]) -> bool:
    return any(name[i : i + len(wanted)] == wanted for i in range(len(name) - len(wanted) + 1))
