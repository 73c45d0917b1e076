"""What is left open is filled in, and who decided is remembered."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from enova.core.launches import desired_state
from enova.core.resolve import Provenance, Resolved, resolve
from enova.core.spec import Service


def resolved(**sections: Any) -> Resolved:
    return resolve(Service.model_validate({"metadata": {"name": "chat"}, "model": "org/model"} | sections))


def recommended(chosen: dict[str, Any], **sections: Any) -> Resolved:
    service = Service.model_validate({"metadata": {"name": "chat"}, "model": "org/model"} | sections)
    return resolve(service, chosen, {"gpu": "the cheapest"})


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


class TestRecommended:
    """What was chosen for what the user left open."""

    CHOSEN: ClassVar = {
        "engine.max_num_seqs": 64,
        "gpu": "l40s",
        "replicas": 3,
        "scaling.max": 6,
        "scaling.min": 2,
    }

    def test_it_is_used_and_called_that(self) -> None:
        found = recommended(self.CHOSEN)

        assert (found.replicas, found.gpu, found.service.engine.max_num_seqs, found.service.scaling.max) == (
            3,
            "l40s",
            64,
            6,
        )
        assert {field: who for field, (_, who) in choices(found).items() if field in self.CHOSEN} == dict.fromkeys(
            self.CHOSEN, Provenance.RECOMMENDED
        )

    def test_its_reason_comes_along(self) -> None:
        whys = {choice.field: choice.why for choice in recommended(self.CHOSEN).choices if choice.why}

        assert whys == {"gpu": "the cheapest"}

    def test_what_the_user_wrote_goes_first(self) -> None:
        found = recommended(self.CHOSEN, engine={"max_num_seqs": 8}, scaling={"min": 2})

        assert (found.service.engine.max_num_seqs, choices(found)["engine.max_num_seqs"]) == (
            8,
            (8, Provenance.USER),
        )
        assert choices(found)["scaling.min"] == (2, Provenance.USER)

    def test_as_many_run_as_were_chosen_and_without_a_choice_as_few_as_there_may_be(self) -> None:
        assert [recommended(chosen, scaling={"min": 2}).replicas for chosen in ({"replicas": 5}, {})] == [5, 2]

    def test_what_was_written_is_kept_beside_what_is_used(self) -> None:
        found = recommended(self.CHOSEN)

        assert found.written.engine.max_num_seqs is None

    def test_replicas_are_placed_on_the_gpu_that_was_chosen(self) -> None:
        chosen, open_ended = (
            recommended({"gpu": "l40s"}),
            recommended({}, placement={"gpu_types": ["H100", "L40S"]}),
        )

        assert [desired_state(one).gpu_types for one in (chosen, open_ended)] == [("l40s",), ("H100", "L40S")]
