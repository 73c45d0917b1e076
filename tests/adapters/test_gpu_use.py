from __future__ import annotations

from dataclasses import dataclass

import pynvml

from enova.adapters.gpu_use import GpuUse


@dataclass
class Rates:
    gpu: int


class FakeNvml:
    """The part of pynvml that is called. A handle is the GPU's index."""

    NVMLError = pynvml.NVMLError

    def __init__(self, *rates: int | None, driver: bool = True) -> None:
        self.rates, self.driver, self.opened = list(rates), driver, 0

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.driver:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
        self.opened += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.rates)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"GPU-{handle}"

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Rates:  # noqa: N802
        rate = self.rates[handle]
        if rate is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return Rates(rate)


def test_the_use_of_every_gpu_is_a_share_by_its_id_and_nvml_is_opened_once() -> None:
    nvml = FakeNvml(100, 25)
    use = GpuUse(nvml)

    assert use() == use() == {"GPU-0": 1.0, "0": 1.0, "GPU-1": 0.25, "1": 0.25}
    assert nvml.opened == 1


def test_a_gpu_that_does_not_tell_is_missing_and_not_idle() -> None:
    assert GpuUse(FakeNvml(None, 0))() == {"GPU-1": 0.0, "1": 0.0}


def test_without_a_driver_nothing_is_known_until_there_is_one() -> None:
    nvml = FakeNvml(40, driver=False)
    use = GpuUse(nvml)
    assert use() == {}

    nvml.driver = True
    assert use()["GPU-0"] == 0.4


def test_a_driver_that_fails_is_asked_anew() -> None:
    nvml = FakeNvml(None)
    use = GpuUse(nvml)
    assert use() == {}

    nvml.rates = [70]
    assert use()["GPU-0"] == 0.7
    assert nvml.opened == 2


def test_the_real_library_answers_on_any_machine() -> None:
    assert all(0 <= share <= 1 for share in GpuUse()().values())
