"""What is left open is filled in, and who decided is remembered."""

from __future__ import annotations

from typing import Any

import pytest

from enova.core.resolve import Provenance, Resolved, resolve
from enova.core.spec import Service


def resolved(**sections: Any) -> Resolved:
    return resolve(Service.model_validate({"metadata": {"name": "chat"}, "model": "org/model"} | sections))


def choices(found: Resolved) -> dict[str, tuple[Any, Provenance]]:
    return {choice.field: (choice.value, choice.provenance) for choice in found.choices}


def test_what_nobody_wrote_is_a_default() -> None:
    assert choices(resolved()) == {
        "engine.image": ("vllm/vllm-openai:v0.32.0", Provenance.DEFAULT),
        "gateway.host": ("127.0.0.1", Provenance.DEFAULT),
        "gateway.image": ("enova/gateway:0.1.17", Provenance.DEFAULT),
        "gateway.port": (9199, Provenance.DEFAULT),
        "placement.runtime": ("docker", Provenance.DEFAULT),
        "scaling.min": (1, Provenance.DEFAULT),
    }


def test_what_was_written_is_the_users_also_where_it_equals_the_default() -> None:
    found = resolved(
        engine={"image": "mine:1"},
        gateway={"host": "0.0.0.0", "port": 9199, "image": "router:2"},
        placement={"runtime": "docker"},
        scaling={"min": 1},
    )

    assert choices(found) == {
        "engine.image": ("mine:1", Provenance.USER),
        "gateway.host": ("0.0.0.0", Provenance.USER),
        "gateway.image": ("router:2", Provenance.USER),
        "gateway.port": (9199, Provenance.USER),
        "placement.runtime": ("docker", Provenance.USER),
        "scaling.min": (1, Provenance.USER),
    }


def test_choices_are_what_is_used() -> None:
    found = resolved(gateway={"port": 9300}, scaling={"min": 3})

    assert (found.runtime, found.gateway_host, found.gateway_port, found.replicas) == (
        "docker",
        "127.0.0.1",
        9300,
        3,
    )


def test_processes_need_no_image() -> None:
    found = resolved(placement={"runtime": "process"})

    assert (found.image, found.gateway_image) == (None, None)
    assert not {"engine.image", "gateway.image"} & choices(found).keys()


@pytest.mark.parametrize(
    ("engine", "image"),
    [
        ({"version": "0.11.0"}, "vllm/vllm-openai:v0.11.0"),
        ({"version": "0.11.0", "image": "mine:1"}, "mine:1"),
        ({"kind": "emulated"}, "enova/emulator:latest"),
    ],
)
def test_the_image_fits_the_engine(engine: dict[str, Any], image: str) -> None:
    assert resolved(engine=engine, placement={"runtime": "docker"}).image == image


def test_an_emulated_engine_runs_as_a_process() -> None:
    assert resolved(engine={"kind": "emulated"}).runtime == "process"
