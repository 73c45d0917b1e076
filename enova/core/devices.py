"""Which GPUs a replica gets. Reads what holds them now, so it needs no memory of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from enova.core.observed import Gpu, Instance

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

    `allowed` are indices or UUIDs the user pinned, `types` are GPU names ("H100", "RTX 4090"); empty means any.
    """
    fit = [gpu for gpu in free if _allowed(gpu, allowed) and _typed(gpu, types)]
    if len(fit) < count:
        return None
    taken = fit[:count]
    for gpu in taken:
        free.remove(gpu)
    return tuple(gpu.id for gpu in taken)


def is_called(name: str, wanted: str) -> bool:
    """Tell whether a name holds what a user wrote, in whole words: "L4" is not an L40S."""
    return _contains(_words(name), _words(wanted))


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
    return not types or any(is_called(gpu.name, wanted) for wanted in types)


def _words(name: str) -> list[str]:
    return name.lower().replace("-", " ").split()


def _contains(name: list[str], wanted: list[str]) -> bool:
    return any(name[i : i + len(wanted)] == wanted for i in range(len(name) - len(wanted) + 1))
