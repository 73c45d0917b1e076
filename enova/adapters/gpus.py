"""This host's NVIDIA GPUs, as NVML tells."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from enova.core.observed import Gpu, Unknown


def inventory(nvml: Any = None) -> tuple[Gpu, ...] | Unknown:
    """Return every GPU of this host by index; none where there is no driver; Unknown where the driver fails.

    `nvml` is something with pynvml's surface, by default pynvml itself.
    """
    nvml = nvml or _pynvml()
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded):
        return ()
    except nvml.NVMLError as error:
        return Unknown(f"the NVIDIA driver is there but does not answer: {error}")
    try:
        return tuple(_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount()))
    except nvml.NVMLError as error:
        return Unknown(f"the NVIDIA driver could not list the GPUs: {error}")
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _pynvml() -> Any:
    """Loaded late: most commands on most machines never ask."""
    import pynvml

    return pynvml


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        id=nvml.nvmlDeviceGetUUID(handle),
        index=index,
        name=nvml.nvmlDeviceGetName(handle),
        memory_bytes=memory.total,
        used_bytes=memory.used,
    )
