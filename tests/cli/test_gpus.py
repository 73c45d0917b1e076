"""`enova gpus`."""

from __future__ import annotations

import json
from pathlib import Path

from enova.cli.gpus import complete_gpu
from enova.settings import read_settings
from tests.cli.terminal import Machine


def test_all_gpus_are_listed_with_price_source_and_day(machine: Machine) -> None:
    shown = machine.enova("gpus")
    lines = shown.out.splitlines()

    assert lines[0].split()[:4] == ["GPU", "MEMORY", "BANDWIDTH", "BF16"]
    [h100] = [line for line in lines if line.startswith("h100-sxm ")]
    assert h100.split()[:9] == [
        "h100-sxm",
        "79.19",
        "3350",
        "989",
        "1979",
        "nvlink4",
        "450",
        "2.69",
        "2026-03-10",
    ]
    assert (shown.code, shown.err) == (0, "")


def test_one_gpu_is_shown_in_full(machine: Machine) -> None:
    shown = machine.enova("gpus", "NVIDIA L40S")

    assert shown.out.startswith("l40s\n  also called   NVIDIA L40S\n")
    assert "  dense TFLOPS  fp32 91.6, bf16 362, fp16 362, fp8 733, fp8_block 733, int8 733\n" in shown.out
    assert (
        "  price         $0.79 an hour on demand (2026-03-10: RunPod, as listed by deploybase.ai)\n" in shown.out
    )


def test_a_gpu_without_a_price_says_how_to_set_one(machine: Machine) -> None:
    assert (
        "  price         not known; set it in the file ENOVA_PRICES names\n" in machine.enova("gpus", "gb300").out
    )


def test_programs_get_plain_units(machine: Machine) -> None:
    told = json.loads(machine.enova("gpus", "h100", "-o", "json").out)

    assert told["schema_version"] == 1
    assert told["gpus"][0]["memory_bytes_per_s"] == 3.35e12
    assert told["gpus"][0]["flops"]["bf16"] == 9.89e14
    assert told["gpus"][0]["price"]["seen"] == "2026-03-10"


def test_a_gpu_that_is_not_known_is_answered_with_one_like_it(machine: Machine) -> None:
    shown = machine.enova("gpus", "h100-smx")

    assert (shown.code, shown.err) == (1, "error: no GPU is called h100-smx\nhint: did you mean h100-sxm?\n")


def test_prices_of_the_installation_are_shown_as_such(machine: Machine) -> None:
    prices = machine.folder / "prices.yaml"
    prices.write_text("l40s: 0.55\n", encoding="utf-8")
    machine.prices = prices

    assert f"  price         $0.55 an hour on demand ({prices})\n" in machine.enova("gpus", "l40s").out


def test_where_prices_are_follows_the_environment(tmp_path: Path) -> None:
    default = tmp_path / "enova" / "prices.yaml"
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    nowhere = read_settings(environment).prices
    default.parent.mkdir()
    default.write_text("{}", encoding="utf-8")

    assert nowhere is None
    assert read_settings(environment).prices == default
    assert read_settings({**environment, "ENOVA_PRICES": "/etc/prices.yaml"}).prices == Path("/etc/prices.yaml")


def test_names_are_completed() -> None:
    assert complete_gpu("H200") == ["h200-sxm", "h200-nvl"]
