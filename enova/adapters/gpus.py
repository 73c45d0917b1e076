"""This host's NVIDIA GPUs, as NVML tells: memory, who holds it, and how GPUs reach each other.

What a driver does not support makes that detail unknown. Only if GPUs cannot be listed or one does not answer is
the whole look Unknown: there is no telling what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from enova.core.observed import Gpu, GpuLink, GpuProcess, LinkPath, Unknown

_PATHS = {
    "NVML_TOPOLOGY_INTERNAL": LinkPath.BOARD,
    "NVML_TOPOLOGY_SINGLE": LinkPath.SWITCH,
    "NVML_TOPOLOGY_MULTIPLE": LinkPath.SWITCHES,
    "NVML_TOPOLOGY_HOSTBRIDGE": LinkPath.HOST_BRIDGE,
    "NVML_TOPOLOGY_NODE": LinkPath.NODE,
    "NVML_TOPOLOGY_SYSTEM": LinkPath.SYSTEM,
}
_READ = 0
"""NVML_P2P_CAPS_INDEX_READ, which pynvml holds as a tuple by mistake."""
PROC = Path("/proc")
T = TypeVar("T")


def inventory(nvml: Any = None, proc: Path = PROC) -> tuple[Gpu, ...] | Unknown:
    """Return every GPU of this host by index; none where there is no driver; Unknown where the driver fails.

    `nvml` is something with pynvml's surface, by default pynvml itself. `proc` is where programs are named.
    """
    nvml = nvml or _pynvml()
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded):
        return ()
    except nvml.NVMLError as error:
        return Unknown(f"the NVIDIA driver is there but does not answer: {error}")
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return tuple(_gpu(nvml, handles, index, proc) for index in range(len(handles)))
    except nvml.NVMLError as error:
        return Unknown(f"the NVIDIA driver could not list the GPUs: {error}")
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _pynvml() -> Any:
    """Loaded late: most commands on most machines never ask."""
    import pynvml

    return pynvml


def _gpu(nvml: Any, handles: list[Any], index: int, proc: Path) -> Gpu:
    handle = handles[index]
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError_NotSupported:
        memory = None
    return Gpu(
        id=nvml.nvmlDeviceGetUUID(handle),
        index=index,
        name=nvml.nvmlDeviceGetName(handle),
        memory_bytes=memory and memory.total,
        used_bytes=memory and memory.used,
        processes=_processes(nvml, handle, proc),
        links=tuple(
            _link(nvml, handle, other, to=other_index)
            for other_index, other in enumerate(handles)
            if other_index != index
        ),
    )


def _processes(nvml: Any, handle: Any, proc: Path) -> tuple[GpuProcess, ...] | Unknown:
    try:
        computing = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except (nvml.NVMLError, nvml.NVMLLibraryMismatchError) as error:
        return Unknown(f"the NVIDIA driver does not tell which processes hold its memory: {error}")
    used: dict[int, int | None] = {}
    for process in (*computing, *_others(nvml, handle)):
        # One that both computes and draws is listed for both, with the same memory.
        used[process.pid] = used.get(process.pid) or process.usedGpuMemory
    return tuple(
        GpuProcess(pid=pid, used_bytes=held, program=_program(proc, pid)) for pid, held in sorted(used.items())
    )


def _others(nvml: Any, handle: Any) -> Iterator[Any]:
    """Processes that draw, and those that share the GPU through MPS; not every GPU has such lists."""
    for listed in (nvml.nvmlDeviceGetGraphicsRunningProcesses, nvml.nvmlDeviceGetMPSComputeRunningProcesses):
        with suppress(nvml.NVMLError, nvml.NVMLLibraryMismatchError):
            yield from listed(handle)


def _program(proc: Path, pid: int) -> str | None:
    """Return what the system calls a process, which holds no arguments: those may hold secrets."""
    try:
        name = (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    # A process names itself, with any bytes it likes.
    return "".join(letter if letter.isprintable() else "?" for letter in name) or None


def _link(nvml: Any, handle: Any, other: Any, *, to: int) -> GpuLink:
    def can(capability: int) -> bool:
        return bool(nvml.nvmlDeviceGetP2PStatus(handle, other, capability) == nvml.NVML_P2P_STATUS_OK)

    paths = {getattr(nvml, level): path for level, path in _PATHS.items()}
    return GpuLink(
        to=to,
        nvlink=_told(nvml, lambda: can(nvml.NVML_P2P_CAPS_INDEX_NVLINK)),
        peer_to_peer=_told(nvml, lambda: can(_READ)),
        path=_told(nvml, lambda: paths.get(nvml.nvmlDeviceGetTopologyCommonAncestor(handle, other))),
    )


def _told(nvml: Any, ask: Callable[[], T]) -> T | None:
    """Return the answer; None where the driver has none."""
    try:
        return ask()
    except nvml.NVMLError:
        return None
