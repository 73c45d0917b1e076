"""How busy this host's NVIDIA GPUs are, as NVML tells, over and over. What it does not tell is missing."""

from __future__ import annotations

from typing import Any


class GpuUse:
    """Ask NVML, which is kept open in between: to open it may take longer than all questions."""

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml
        self._handles: list[tuple[str, Any]] = []

    def __call__(self) -> dict[str, float]:
        """Return for each GPU the share of NVML's last sample (up to a second) in which a kernel ran.

        By UUID and by index, as either may name it. None without a driver, or where it does not answer: it is
        asked anew the next time.
        """
        nvml = self._nvml = self._nvml or _pynvml()
        try:
            if not self._handles:
                nvml.nvmlInit()
                handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
                self._handles = [(nvml.nvmlDeviceGetUUID(handle), handle) for handle in handles]
        except nvml.NVMLError:
            return {}
        found: dict[str, float] = {}
        for index, (uuid, handle) in enumerate(self._handles):
            busy = _percent(nvml, handle)
            if busy is not None:
                found[uuid] = found[str(index)] = min(max(busy / 100, 0.0), 1.0)
        if not found:
            # The driver may have been loaded anew.
            self._handles = []
        return found


def _percent(nvml: Any, handle: Any) -> int | None:
    try:
        return int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    except nvml.NVMLError:
        return None


def _pynvml() -> Any:
    """Loaded late: most commands never ask."""
    import pynvml

    return pynvml
