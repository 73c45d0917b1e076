"""The real library as far as this host goes, and beyond that a stand-in mirroring NVML's calls and errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pynvml
import pytest

from enova.adapters.gpus import inventory
from enova.core.observed import Gpu, Unknown


@dataclass
class Memory:
    total: int
    used: int


class FakeNvml:
    """The part of pynvml that is called, with its own error classes. A handle is the GPU's index."""

    NVMLError = pynvml.NVMLError
    NVMLError_LibraryNotFound = pynvml.NVMLError_LibraryNotFound
    NVMLError_DriverNotLoaded = pynvml.NVMLError_DriverNotLoaded

    def __init__(self, names: Sequence[str], *, init: int | None = None, lost: int | None = None) -> None:
        self.names, self.init_error, self.lost, self.sessions = names, init, lost, 0

    def nvmlInit(self) -> None:  # noqa: N802
        if self.init_error is not None:
            raise pynvml.NVMLError(self.init_error)
        self.sessions += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.sessions -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.names)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index == self.lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"GPU-{handle}"

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        return self.names[handle]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Memory:  # noqa: N802
        return Memory(total=80 << 30, used=handle << 30)


def test_every_gpu_is_listed_by_its_uuid() -> None:
    assert inventory(FakeNvml(["NVIDIA A100", "NVIDIA L4"])) == (
        Gpu(id="GPU-0", index=0, name="NVIDIA A100", memory_bytes=80 << 30, used_bytes=0),
        Gpu(id="GPU-1", index=1, name="NVIDIA L4", memory_bytes=80 << 30, used_bytes=1 << 30),
    )


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_without_a_driver_there_are_no_gpus(code: int) -> None:
    assert inventory(FakeNvml(["NVIDIA A100"], init=code)) == ()


def test_a_driver_that_does_not_answer_is_unknown_and_says_why() -> None:
    assert inventory(FakeNvml([], init=pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)) == Unknown(
        "the NVIDIA driver is there but does not answer: RM has detected an NVML/RM version mismatch."
    )


def test_one_lost_gpu_makes_the_inventory_unknown_rather_than_shorter() -> None:
    found = inventory(FakeNvml(["NVIDIA A100", "NVIDIA A100"], lost=1))
    assert isinstance(found, Unknown)
    assert "GPU is lost" in found.reason


@pytest.mark.parametrize("lost", [None, 0])
def test_the_library_is_shut_down_again_whatever_happens(lost: int | None) -> None:
    nvml = FakeNvml(["NVIDIA A100"], lost=lost)
    inventory(nvml)
    assert nvml.sessions == 0


def test_the_real_library_lists_gpus_exactly_where_there_is_a_driver() -> None:
    found = inventory()
    assert isinstance(found, tuple)
    assert bool(found) == Path("/dev/nvidiactl").exists()
    assert all(gpu.id.startswith("GPU-") and gpu.memory_bytes > gpu.used_bytes >= 0 for gpu in found)
