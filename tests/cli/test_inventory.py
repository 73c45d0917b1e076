"""`enova inventory`, and where every command gets from what there is to run on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from enova.core.observed import GpuLink, GpuProcess, LinkPath, Unknown
from enova.settings import read_settings
from tests.cli.terminal import Machine
from tests.staging import GIB, gpus

DECLARED = (
    "hosts: [{name: a, gpu: H100, count: 8, price: 2.10 USD/h}]\nrentable: [{gpu: h200-sxm, price: 4 USD/h}]\n"
)


def write(machine: Machine, name: str, text: str = DECLARED) -> Path:
    path = machine.folder / name
    path.write_text(text, encoding="utf-8")
    return path


def sources(machine: Machine, *arguments: str) -> list[str]:
    told = json.loads(machine.enova("inventory", *arguments, "-o", "json").out)
    return [f"{pool['gpu']}: {pool['source']}" for pool in told["pools"]]


def test_this_host_is_shown_with_who_uses_its_gpus(machine: Machine) -> None:
    machine.enova("apply", machine.spec(placement='{devices: ["1"]}', scaling="{min: 1}"), "--yes")
    free, ours, foreign, hidden = gpus(4)
    python = GpuProcess(pid=4242, used_bytes=60 * GIB, program="python3")
    machine.host.gpus = (
        replace(
            free,
            links=(GpuLink(to=1, nvlink=True), GpuLink(to=2, nvlink=True), GpuLink(to=3, path=LinkPath.SYSTEM)),
        ),
        replace(ours, used_bytes=70 * GIB),
        replace(foreign, used_bytes=61 * GIB, processes=(python,)),
        replace(hidden, used_bytes=8 * GIB),
    )

    shown = machine.enova("inventory")

    assert shown.out == (
        "GPU       HOSTS  PER HOST  GPUS  MEMORY   $/H  SOURCE\n"
        "h100-sxm      1         2     2   79.19  2.69  this host\n"
        "note: GPU 2 (NVIDIA H100 80GB HBM3) is left out: others compute on it\n"
        "note: GPU 3 (NVIDIA H100 80GB HBM3) is left out: others compute on it\n"
        "\n"
        "This host\n"
        "INDEX  NAME                   MEMORY   USED  BY                  LINKS\n"
        "    0  NVIDIA H100 80GB HBM3   80.00   0.00  -                   NVLink 1-2; across NUMA nodes 3\n"
        "    1  NVIDIA H100 80GB HBM3   80.00  70.00  chat#0              -\n"
        "    2  NVIDIA H100 80GB HBM3   80.00  61.00  python3 (pid 4242)  -\n"
        "    3  NVIDIA H100 80GB HBM3   80.00   8.00  others              -\n"
    )
    assert (shown.code, shown.err) == (0, "")


def test_programs_get_all_of_it_in_plain_units(machine: Machine) -> None:
    [gpu] = gpus(1, used_bytes=GIB)
    process = GpuProcess(pid=7, used_bytes=None, program=None)
    link = GpuLink(to=1, nvlink=False, path=LinkPath.NODE)
    machine.host.gpus = (replace(gpu, processes=(process,), links=(link,)),)

    told = json.loads(machine.enova("inventory", "-o", "json").out)

    assert told == {
        "schema_version": 1,
        "unknown": None,
        "pools": [
            {
                "gpu": "h100-sxm",
                "source": "this host",
                "hosts": 1,
                "per_host": 1,
                "gpus": 1,
                "memory_bytes": told["pools"][0]["memory_bytes"],
                "usd_per_h": 2.69,
                "price_source": told["pools"][0]["price_source"],
            }
        ],
        "notes": [],
        "host": {
            "unknown": None,
            "gpus": [
                {
                    "index": 0,
                    "id": "GPU-0",
                    "name": "NVIDIA H100 80GB HBM3",
                    "memory_bytes": 80 * GIB,
                    "used_bytes": GIB,
                    "instances": [],
                    "foreign": False,
                    "processes": [{"pid": 7, "program": None, "used_bytes": None}],
                    "links": [{"to": 1, "nvlink": False, "peer_to_peer": None, "path": "one NUMA node"}],
                }
            ],
        },
    }


def test_what_is_declared_takes_the_place_of_this_host_whose_gpus_are_still_shown(machine: Machine) -> None:
    machine.host.gpus = gpus(1)
    path = write(machine, "inventory.yaml")

    lines = machine.enova("inventory", "--inventory", str(path)).out.splitlines()

    assert lines[1:3] == [
        "h100-sxm      1         8     8   79.19  2.10  inventory.yaml:1",
        "h200-sxm    any         8   any  139.80  4.00  inventory.yaml:2",
    ]
    assert lines[4] == "This host"


def test_a_file_that_is_named_goes_before_one_of_the_settings_and_that_before_this_host(machine: Machine) -> None:
    assert sources(machine) == ["h100-sxm: this host"]

    machine.inventory = write(machine, "settings.yaml", "rentable: [{gpu: l4}]\n")
    assert sources(machine) == ["l4: settings.yaml:1"]

    named = write(machine, "named.yaml", "rentable: [{gpu: l40s}]\n")
    assert sources(machine, "--inventory", str(named)) == ["l40s: named.yaml:1"]


def test_a_declared_price_goes_before_ones_own_prices_and_these_before_those_of_facts(machine: Machine) -> None:
    machine.prices = write(machine, "prices.yaml", "h100: 1.5\nl4: 0.5\n")
    machine.inventory = write(
        machine, "inventory.yaml", "rentable: [{gpu: h100, price: 2 USD/h}, {gpu: l4}, {gpu: l40s}]\n"
    )

    told = json.loads(machine.enova("inventory", "-o", "json").out)

    assert {pool["gpu"]: pool["usd_per_h"] for pool in told["pools"]} == {"h100-sxm": 2, "l4": 0.5, "l40s": 0.79}


def test_a_driver_that_does_not_answer_is_unknown_and_never_nothing(machine: Machine) -> None:
    machine.host.gpus = Unknown("the NVIDIA driver is there but does not answer: timeout")

    shown = machine.enova("inventory")
    told = json.loads(machine.enova("inventory", "-o", "json").out)

    assert shown.out == "unknown: the NVIDIA driver is there but does not answer: timeout\n"
    assert shown.code == 1
    assert told["unknown"] == told["host"]["unknown"] == "the NVIDIA driver is there but does not answer: timeout"


def test_what_is_declared_stands_though_the_driver_does_not_answer(machine: Machine) -> None:
    machine.host.gpus = Unknown("no answer")
    machine.inventory = write(machine, "inventory.yaml")

    shown = machine.enova("inventory")

    assert "h200-sxm" in shown.out
    assert shown.out.endswith("unknown: no answer\n")
    assert shown.code == 1


def test_a_host_without_a_gpu_says_what_runs_on_it(machine: Machine) -> None:
    machine.host.gpus = ()

    shown = machine.enova("inventory")

    assert shown.out == "This host has no NVIDIA GPU; replicas with `placement.accelerator: cpu` run on it\n"
    assert shown.code == 0


def test_processes_that_the_driver_does_not_tell_leave_whose_they_are_open(machine: Machine) -> None:
    [gpu] = gpus(1, used_bytes=GIB)
    machine.host.gpus = (replace(gpu, processes=Unknown("not supported")),)

    shown = machine.enova("inventory")
    told = json.loads(machine.enova("inventory", "-o", "json").out)

    assert shown.out.splitlines()[-1].split()[-2:] == ["unknown", "-"]
    assert told["host"]["gpus"][0]["processes"] is None


def test_gpus_in_use_may_be_ours_while_a_runtime_cannot_be_looked_at(machine: Machine) -> None:
    machine.host.unreachable.add("docker")
    machine.host.gpus = gpus(1, used_bytes=50 * GIB)

    assert "cannot be reached; GPUs in use may be ours\n" in machine.enova("inventory").out


def test_a_runtime_that_cannot_be_looked_at_matters_only_to_gpus_in_use(machine: Machine) -> None:
    machine.host.unreachable.add("docker")

    shown = machine.enova("inventory")

    assert ("note" in shown.out, shown.code) == (False, 0)


def test_mistakes_in_the_file_are_told_with_their_places(machine: Machine) -> None:
    path = write(machine, "inventory.yaml", "hosts: [{name: a, gpu: h100-smx, count: 0}]\n")

    shown = machine.enova("inventory", "--inventory", str(path))

    assert shown.err == (
        f"{path}:1:24: hosts[0].gpu: no GPU is called h100-smx (hint: did you mean h100-sxm?)\n"
        f"{path}:1:41: hosts[0].count: must be at least 1\n"
        "error: 2 problems in the inventory\n"
    )
    assert (shown.code, shown.out) == (1, "")


def test_where_the_inventory_is_follows_the_environment(tmp_path: Path) -> None:
    default = tmp_path / "enova" / "inventory.yaml"
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    nowhere = read_settings(environment).inventory
    default.parent.mkdir()
    default.write_text(DECLARED, encoding="utf-8")

    assert nowhere is None
    assert read_settings(environment).inventory == default
    assert read_settings({**environment, "ENOVA_INVENTORY": "/etc/i.yaml"}).inventory == Path("/etc/i.yaml")


def test_the_schema_of_the_file_is_printed(machine: Machine) -> None:
    assert json.loads(machine.enova("schema", "inventory").out)["$id"] == "urn:enova:schemas:inventory:v1"
