"""Which GPUs are free, and which of them a replica gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enova.adapters.facts import gpu_cards
from enova.core.devices import foreign_gpus, free_gpus, holders, named, take
from enova.core.observed import GpuProcess, State, Unknown
from tests.staging import GIB, gpus, instance, replica


@pytest.mark.parametrize("state", list(State))
def test_an_instance_holds_its_gpus_in_every_state(state: State) -> None:
    holder = instance(replica(devices=("GPU-1",)), state=state)

    assert [gpu.index for gpu in free_gpus(gpus(3), [holder])] == [0, 2]


def test_a_gpu_held_by_its_index_is_held() -> None:
    assert [gpu.index for gpu in free_gpus(gpus(3), [instance(replica(devices=("0", "2")))])] == [1]


def test_a_gpu_whose_memory_a_stranger_uses_is_not_free() -> None:
    idle, a_little, used = gpus(3)
    seen = [idle, replace(a_little, used_bytes=4 * GIB), replace(used, used_bytes=5 * GIB)]

    assert [gpu.index for gpu in free_gpus(seen, [])] == [0, 1]


def test_a_gpu_is_a_strangers_if_it_is_in_use_and_none_of_ours_holds_it() -> None:
    idle, ours, used = gpus(3)
    seen = [replace(used, used_bytes=5 * GIB), replace(ours, used_bytes=70 * GIB), idle]

    assert [gpu.index for gpu in foreign_gpus(seen, [instance(replica(devices=("GPU-1",)))])] == [2]


@pytest.mark.parametrize(
    ("processes", "is_free"), [((), True), ((GpuProcess(pid=1),), False), (Unknown("not supported"), False)]
)
def test_a_gpu_whose_memory_is_not_known_is_free_if_it_is_known_that_nothing_runs_on_it(
    processes: tuple[GpuProcess, ...] | Unknown, is_free: bool
) -> None:
    seen = gpus(1, memory_bytes=None, used_bytes=None, processes=processes)

    assert (bool(free_gpus(seen, [])), bool(foreign_gpus(seen, []))) == (is_free, not is_free)


@pytest.mark.parametrize("wanted", ["h100-sxm", "H100_SXM", "H100", "NVIDIA H100 80GB HBM3"])
def test_a_gpu_is_taken_by_any_name_its_card_has(wanted: str) -> None:
    """What is chosen is called as facts call it, which is not what NVML does."""
    free = list(named(gpus(1), gpu_cards()))

    assert take(free, 1, allowed=(), types=(wanted,)) == ("GPU-0",)


def test_a_gpu_there_are_no_facts_for_keeps_its_name() -> None:
    [unknown] = gpus(1, name="NVIDIA Quadro K620")

    assert named([unknown], gpu_cards()) == (unknown,)
    assert take([unknown], 1, allowed=(), types=("K620",)) == ("GPU-0",)


def test_who_of_ours_holds_a_gpu_is_told_by_target() -> None:
    [first, second] = gpus(2)
    found = [instance(replica(slot=1, devices=("0",))), instance(replica(devices=("GPU-0",)))]

    assert holders(first, found) == ("chat#0", "chat#1")
    assert holders(second, found) == ()


def test_free_gpus_come_by_index_whatever_their_order() -> None:
    assert free_gpus(gpus(4)[::-1], []) == list(gpus(4))


def test_the_first_that_fit_are_taken_and_gone() -> None:
    free = list(gpus(3))

    assert take(free, 2, allowed=(), types=()) == ("GPU-0", "GPU-1")
    assert [gpu.index for gpu in free] == [2]


def test_too_few_take_nothing() -> None:
    free = list(gpus(2))

    assert take(free, 3, allowed=(), types=()) is None
    assert free == list(gpus(2))


def test_only_pinned_ones_are_taken_by_index_or_id() -> None:
    assert take(list(gpus(4)), 2, allowed=("3", "GPU-1"), types=()) == ("GPU-1", "GPU-3")


@pytest.mark.parametrize(
    ("name", "wanted", "fits"),
    [
        ("NVIDIA H100 80GB HBM3", "H100", True),
        ("NVIDIA H100 80GB HBM3", "h100 80gb", True),
        ("NVIDIA GeForce RTX 4090", "RTX-4090", True),
        ("NVIDIA L40S", "L4", False),
        ("NVIDIA L40S", "L40S", True),
        ("NVIDIA A100-SXM4-80GB", "A100", True),
        ("NVIDIA A100-SXM4-80GB", "100", False),
    ],
)
def test_types_match_by_whole_words(name: str, wanted: str, fits: bool) -> None:
    assert (take(list(gpus(1, name=name)), 1, allowed=(), types=("T4", wanted)) is not None) == fits
