"""The real library as far as this host goes, and beyond that a stand-in mirroring NVML's calls and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pynvml
import pytest

from enova.adapters.gpus import inventory
from enova.core.observed import Gpu, GpuLink, GpuProcess, LinkPath, Unknown


@dataclass
class Memory:
    total: int
    used: int


@dataclass
class Process:
    pid: int
    usedGpuMemory: int | None  # noqa: N815 - NVML's name


class FakeNvml:
    """The part of pynvml that is called, with its own error classes. A handle is the GPU's index."""

    NVMLError = pynvml.NVMLError
    NVMLError_LibraryNotFound = pynvml.NVMLError_LibraryNotFound
    NVMLError_DriverNotLoaded = pynvml.NVMLError_DriverNotLoaded
    NVMLError_NotSupported = pynvml.NVMLError_NotSupported
    NVMLLibraryMismatchError = pynvml.NVMLLibraryMismatchError
    NVML_P2P_STATUS_OK = pynvml.NVML_P2P_STATUS_OK
    NVML_P2P_CAPS_INDEX_NVLINK = pynvml.NVML_P2P_CAPS_INDEX_NVLINK
    NVML_TOPOLOGY_INTERNAL = pynvml.NVML_TOPOLOGY_INTERNAL
    NVML_TOPOLOGY_SINGLE = pynvml.NVML_TOPOLOGY_SINGLE
    NVML_TOPOLOGY_MULTIPLE = pynvml.NVML_TOPOLOGY_MULTIPLE
    NVML_TOPOLOGY_HOSTBRIDGE = pynvml.NVML_TOPOLOGY_HOSTBRIDGE
    NVML_TOPOLOGY_NODE = pynvml.NVML_TOPOLOGY_NODE
    NVML_TOPOLOGY_SYSTEM = pynvml.NVML_TOPOLOGY_SYSTEM

    def __init__(
        self,
        names: Sequence[str],
        *,
        init: int | None = None,
        lost: int | None = None,
        computing: Mapping[int, Sequence[Process]] | None = None,
        drawing: Mapping[int, Sequence[Process]] | None = None,
        nvlinked: frozenset[frozenset[int]] = frozenset(),
        level: int = pynvml.NVML_TOPOLOGY_SYSTEM,
        refused: Mapping[str, Exception] | None = None,
    ) -> None:
        self.names, self.init_error, self.lost, self.sessions = names, init, lost, 0
        self.computing, self.drawing = computing or {}, drawing or {}
        self.nvlinked, self.level, self.refused = nvlinked, level, refused or {}

    def _refuse(self, function: str) -> None:
        if function in self.refused:
            raise self.refused[function]

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
        self._refuse("nvmlDeviceGetMemoryInfo")
        return Memory(total=80 << 30, used=handle << 30)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Process]:  # noqa: N802
        self._refuse("nvmlDeviceGetComputeRunningProcesses")
        return list(self.computing.get(handle, ()))

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: int) -> list[Process]:  # noqa: N802
        self._refuse("nvmlDeviceGetGraphicsRunningProcesses")
        return list(self.drawing.get(handle, ()))

    def nvmlDeviceGetMPSComputeRunningProcesses(self, handle: int) -> list[Process]:  # noqa: N802
        raise NOT_SUPPORTED

    def nvmlDeviceGetP2PStatus(self, handle: int, other: int, capability: int) -> int:  # noqa: N802
        """The library takes numbers only: it would stumble over its own constant for reading, a tuple."""
        assert isinstance(capability, int)
        self._refuse("nvmlDeviceGetP2PStatus")
        linked = frozenset({handle, other}) in self.nvlinked
        return pynvml.NVML_P2P_STATUS_OK if linked else int(pynvml.NVML_P2P_STATUS_CHIPSET_NOT_SUPPORTED)

    def nvmlDeviceGetTopologyCommonAncestor(self, handle: int, other: int) -> int:  # noqa: N802
        self._refuse("nvmlDeviceGetTopologyCommonAncestor")
        return self.level


NOT_SUPPORTED = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
NOT_ALLOWED = pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)


def only(nvml: FakeNvml, proc: Path = Path("/nowhere")) -> Gpu:
    found = inventory(nvml, proc)
    assert isinstance(found, tuple)
    return found[0]


def name_program(proc: Path, pid: int, comm: bytes, cmdline: bytes = b"") -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "comm").write_bytes(comm)
    (folder / "cmdline").write_bytes(cmdline)


def test_every_gpu_is_listed_by_its_uuid() -> None:
    found = inventory(FakeNvml(["NVIDIA A100", "NVIDIA L4"]))

    assert found == (
        Gpu(
            id="GPU-0",
            index=0,
            name="NVIDIA A100",
            memory_bytes=80 << 30,
            used_bytes=0,
            links=(GpuLink(to=1, nvlink=False, peer_to_peer=False, path=LinkPath.SYSTEM),),
        ),
        Gpu(
            id="GPU-1",
            index=1,
            name="NVIDIA L4",
            memory_bytes=80 << 30,
            used_bytes=1 << 30,
            links=(GpuLink(to=0, nvlink=False, peer_to_peer=False, path=LinkPath.SYSTEM),),
        ),
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


def test_a_gpu_that_shares_the_memory_of_its_host_is_one_whose_memory_is_not_known() -> None:
    found = only(FakeNvml(["NVIDIA GB10"], refused={"nvmlDeviceGetMemoryInfo": NOT_SUPPORTED}))

    assert found == Gpu(id="GPU-0", index=0, name="NVIDIA GB10", memory_bytes=None, used_bytes=None)


def test_a_gpu_that_fails_to_tell_its_memory_makes_the_inventory_unknown() -> None:
    lost = pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    assert isinstance(inventory(FakeNvml(["A"], refused={"nvmlDeviceGetMemoryInfo": lost})), Unknown)


@pytest.mark.parametrize("lost", [None, 0])
def test_the_library_is_shut_down_again_whatever_happens(lost: int | None) -> None:
    nvml = FakeNvml(["NVIDIA A100"], lost=lost)
    inventory(nvml)
    assert nvml.sessions == 0


def test_who_holds_memory_is_told_by_pid_size_and_name(tmp_path: Path) -> None:
    name_program(tmp_path, 41, b"python3\n")
    computing = {0: [Process(77, 3 << 30), Process(41, 20 << 30)]}

    assert only(FakeNvml(["NVIDIA A100"], computing=computing), tmp_path).processes == (
        GpuProcess(pid=41, used_bytes=20 << 30, program="python3"),
        GpuProcess(pid=77, used_bytes=3 << 30, program=None),
    )


def test_a_programs_arguments_are_not_told_for_they_may_hold_secrets(tmp_path: Path) -> None:
    name_program(tmp_path, 41, b"vllm\n", cmdline=b"vllm\0serve\0--api-key\0sk-canary")

    found = only(FakeNvml(["NVIDIA A100"], computing={0: [Process(41, 1)]}), tmp_path)

    assert "canary" not in repr(found)


def test_a_name_that_would_move_the_cursor_is_made_harmless(tmp_path: Path) -> None:
    name_program(tmp_path, 41, b"\x1b[2Jevil\xff\n")

    [process] = only_processes(FakeNvml(["NVIDIA A100"], computing={0: [Process(41, 1)]}), tmp_path)

    assert process.program == "?[2Jevil\ufffd"


def only_processes(nvml: FakeNvml, proc: Path) -> tuple[GpuProcess, ...]:
    processes = only(nvml, proc).processes
    assert isinstance(processes, tuple)
    return processes


def test_a_process_that_computes_and_draws_is_listed_once() -> None:
    nvml = FakeNvml(["A"], computing={0: [Process(41, None)]}, drawing={0: [Process(41, 5), Process(9, 1)]})

    assert only(nvml).processes == (GpuProcess(pid=9, used_bytes=1), GpuProcess(pid=41, used_bytes=5))


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (NOT_SUPPORTED, "Not Supported"),
        (NOT_ALLOWED, "Insufficient Permissions"),
        (pynvml.NVMLLibraryMismatchError("versions differ"), "versions differ"),
    ],
)
def test_processes_that_the_driver_does_not_tell_are_unknown_and_the_gpu_is_not(
    refusal: Exception, reason: str
) -> None:
    found = only(FakeNvml(["NVIDIA A100"], refused={"nvmlDeviceGetComputeRunningProcesses": refusal}))

    assert found.name == "NVIDIA A100"
    assert found.processes == Unknown(f"the NVIDIA driver does not tell which processes hold its memory: {reason}")


def test_a_gpu_that_cannot_draw_still_tells_what_computes() -> None:
    nvml = FakeNvml(
        ["A"],
        computing={0: [Process(41, 5)]},
        refused={"nvmlDeviceGetGraphicsRunningProcesses": NOT_SUPPORTED},
    )

    assert only(nvml).processes == (GpuProcess(pid=41, used_bytes=5),)


def test_which_gpus_are_joined_by_nvlink_and_what_lies_between_them_on_pcie() -> None:
    nvml = FakeNvml(["A", "A", "A"], nvlinked=frozenset({frozenset({0, 1})}), level=pynvml.NVML_TOPOLOGY_SINGLE)

    assert only(nvml).links == (
        GpuLink(to=1, nvlink=True, peer_to_peer=True, path=LinkPath.SWITCH),
        GpuLink(to=2, nvlink=False, peer_to_peer=False, path=LinkPath.SWITCH),
    )


@pytest.mark.parametrize(
    ("function", "link"),
    [
        ("nvmlDeviceGetP2PStatus", GpuLink(to=1, path=LinkPath.SYSTEM)),
        ("nvmlDeviceGetTopologyCommonAncestor", GpuLink(to=1, nvlink=False, peer_to_peer=False)),
    ],
)
def test_what_the_driver_does_not_tell_of_a_link_is_unknown_and_the_rest_is_not(
    function: str, link: GpuLink
) -> None:
    assert only(FakeNvml(["A", "A"], refused={function: NOT_SUPPORTED})).links == (link,)


def test_a_level_that_is_not_known_yet_is_no_path() -> None:
    assert only(FakeNvml(["A", "A"], level=35)).links == (GpuLink(to=1, nvlink=False, peer_to_peer=False),)


def test_the_stand_in_has_nothing_that_the_library_lacks() -> None:
    assert [name for name in dir(FakeNvml) if name.lower().startswith("nvml") and not hasattr(pynvml, name)] == []


def test_the_real_library_lists_gpus_exactly_where_there_is_a_driver() -> None:
    found = inventory()
    assert isinstance(found, tuple)
    assert bool(found) == Path("/dev/nvidiactl").exists()
    assert all(gpu.id.startswith("GPU-") and (gpu.memory_bytes or 1) > (gpu.used_bytes or 0) >= 0 for gpu in found)
