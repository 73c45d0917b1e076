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
    held = {device for instance in instances for device in instance.devices}
    free = [gpu for gpu in gpus if gpu.id not in held and str(gpu.index) not in held]
    return sorted(
        (gpu for gpu in free if gpu.used_bytes <= FOREIGN_USE * gpu.memory_bytes), key=lambda gpu: gpu.index
    )


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


def _allowed(gpu: Gpu, allowed: Sequence[str]) -> bool:
    return not allowed or gpu.id in allowed or str(gpu.index) in allowed


def _typed(gpu: Gpu, types: Sequence[str]) -> bool:
    return not types or any(_contains(_words(gpu.name), _words(wanted)) for wanted in types)


def _words(name: str) -> list[str]:
    return name.lower().replace("-", " ").split()


def _contains(name: list[str], wanted: list[str]) -> bool:
    """Whole words only: "L4" must not match an L40S."""
    return any(name[i : i + len(wanted)] == wanted for i in range(len(name) - len(wanted) + 1))
