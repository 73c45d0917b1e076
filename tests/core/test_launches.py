"""From a resolved service to what is started for it."""

from __future__ import annotations

from typing import Any

import pytest

from enova.core.desired import Desired
from enova.core.fingerprint import fingerprint
from enova.core.launch import API_KEY, ArgValue, Kind, Launch, Mount, SecretRef
from enova.core.launches import desired_state
from enova.core.resolve import resolve
from enova.core.spec import Service

CACHE = Mount("enova-models", "/var/cache/huggingface", read_only=False)


def wanted(**sections: Any) -> Desired:
    """Return what should run for a spec loaded from a file in /specs."""
    written = {"metadata": {"name": "chat"}, "model": "org/model"} | sections
    context = {"resolve": lambda path: f"/specs/{path.removeprefix('./')}" if path.startswith(".") else path}
    return desired_state(resolve(Service.model_validate(written, context=context)))


def replica(**sections: Any) -> Launch:
    return wanted(**sections).replica


PROCESS = {"runtime": "process"}


def test_a_hub_model_is_loaded_by_its_id_and_kept_in_a_volume() -> None:
    launch = replica(model={"id": "org/model", "revision": "abc", "trust_remote_code": True})

    assert (launch.model, launch.image, launch.kind) == ("org/model", "vllm/vllm-openai:v0.32.0", Kind.VLLM)
    assert launch.args == {"served_model_name": ("org/model",), "revision": "abc", "trust_remote_code": True}
    assert launch.mounts == (CACHE,)
    assert launch.env == {"HF_HOME": "/var/cache/huggingface"}
    assert launch.shm_bytes == 2 * 2**30


def test_a_process_keeps_its_downloads_where_the_user_keeps_them() -> None:
    launch = replica(placement=PROCESS)

    assert (launch.mounts, launch.env, launch.shm_bytes, launch.image) == ((), {}, 0, None)


def test_a_local_model_is_mounted_and_served_under_its_last_part() -> None:
    launch = replica(model="/data/tiny")

    assert launch.model == "/models/tiny"
    assert launch.args["served_model_name"] == ("tiny",)
    assert launch.mounts == (Mount("/data/tiny", "/models/tiny"), CACHE)


def test_a_process_loads_a_local_model_from_where_it_is() -> None:
    launch = replica(model="/data/tiny", placement=PROCESS)

    assert (launch.model, launch.args["served_model_name"]) == ("/data/tiny", ("tiny",))


def test_served_names_are_the_users() -> None:
    assert replica(model={"id": "/data/tiny", "served_names": ["a", "b"]}).args["served_model_name"] == ("a", "b")


def test_adapters_are_served_beside_the_model() -> None:
    launch = replica(
        model={"id": "org/model", "lora": [{"name": "sql", "id": "org/sql"}, {"name": "ops", "id": "/data/ops"}]}
    )

    assert launch.args["enable_lora"] is True
    assert launch.args["lora_modules"] == ("sql=org/sql", "ops=/models/ops")
    assert Mount("/data/ops", "/models/ops") in launch.mounts


def test_a_model_and_an_adapter_with_one_last_part_do_not_share_a_place() -> None:
    launch = replica(model={"id": "/base/tiny", "lora": [{"name": "x", "id": "/adapters/tiny"}]})

    seen = {mount.target: mount.source for mount in launch.mounts}
    modules = {f"x={target}": source for target, source in seen.items()}
    assert (seen[launch.model], *(modules[module] for module in _texts(launch.args["lora_modules"]))) == (
        "/base/tiny",
        "/adapters/tiny",
    )


@pytest.mark.parametrize("name", ["chat_template", "generation_config", "tokenizer"])
def test_a_path_in_an_engine_argument_is_mounted_and_passed_as_the_engine_sees_it(name: str) -> None:
    launch = replica(engine={name: "./own/thing.x"})

    assert launch.args[name] == "/files/thing.x"
    assert Mount("/specs/own/thing.x", "/files/thing.x") in launch.mounts


def test_paths_in_arguments_with_one_last_part_do_not_share_a_place() -> None:
    launch = replica(model="/data/tiny", engine={"tokenizer": "/a/tiny", "generation_config": "/b/tiny"})

    seen = {mount.target: mount.source for mount in launch.mounts}
    assert [seen[str(launch.args[name])] for name in ("tokenizer", "generation_config")] == ["/a/tiny", "/b/tiny"]
    assert seen[launch.model] == "/data/tiny"


def test_a_tokenizer_that_is_the_models_own_folder_is_mounted_once() -> None:
    launch = replica(model="/data/tiny", engine={"tokenizer": "/data/tiny"})

    assert launch.args["tokenizer"] == launch.model == "/models/tiny"


def test_a_process_takes_paths_as_they_are() -> None:
    launch = replica(engine={"chat_template": "/data/chat.jinja"}, placement=PROCESS)

    assert (launch.args["chat_template"], launch.mounts) == ("/data/chat.jinja", ())


def test_a_name_or_a_template_in_an_engine_argument_is_no_path() -> None:
    launch = replica(engine={"tokenizer": "org/tokenizer", "chat_template": "{{ messages }}"})

    assert (launch.args["tokenizer"], launch.args["chat_template"]) == ("org/tokenizer", "{{ messages }}")
    assert launch.mounts == (CACHE,)


def test_equal_specs_have_equal_fingerprints_whatever_the_order_of_their_keys() -> None:
    one = {"tokenizer": "/a/tiny", "generation_config": "/b/tiny", "max_num_seqs": 8}

    assert fingerprint(replica(engine=one)) == fingerprint(replica(engine=dict(reversed(one.items()))))


def test_where_a_model_comes_from_is_environment_and_its_token_a_reference() -> None:
    launch = replica(
        model={
            "id": "org/model",
            "endpoint": "https://hub.example.com",
            "proxy": "http://proxy.example.com:3128",
            "token": {"env": "HUB_TOKEN"},
        },
        engine={"env": {"VLLM_LOGGING_LEVEL": "DEBUG"}, "secrets": {"OTHER": {"file": "/run/other"}}},
        gateway={"api_key": {"env": "CHAT_KEY"}},
    )

    assert launch.env == {
        "HF_HOME": "/var/cache/huggingface",
        "HF_ENDPOINT": "https://hub.example.com",
        "HTTP_PROXY": "http://proxy.example.com:3128",
        "HTTPS_PROXY": "http://proxy.example.com:3128",
        "NO_PROXY": "localhost,127.0.0.1",
        "VLLM_LOGGING_LEVEL": "DEBUG",
    }
    assert launch.secrets == {
        "HF_TOKEN": SecretRef(env="HUB_TOKEN"),
        "VLLM_API_KEY": SecretRef(env="CHAT_KEY"),
        "OTHER": SecretRef(file="/run/other"),
    }


def test_the_api_key_is_the_engines_and_no_argument_of_the_gateway() -> None:
    service = wanted(gateway={"api_key": {"env": "CHAT_KEY"}})

    assert service.replica.secrets == {API_KEY: SecretRef(env="CHAT_KEY")}
    assert "CHAT_KEY" not in str(service.gateway)


def test_a_cache_folder_of_the_host_takes_the_place_of_the_volume() -> None:
    launch = replica(model={"id": "org/model", "cache_dir": "/data/hub"})

    assert launch.mounts == (Mount("/data/hub", "/var/cache/huggingface", read_only=False),)
    assert launch.env["HF_HOME"] == "/var/cache/huggingface"


def test_a_process_downloads_into_the_cache_folder() -> None:
    launch = replica(model={"id": "org/model", "cache_dir": "/data/hub"}, placement=PROCESS)

    assert (launch.env, launch.mounts) == ({"HF_HOME": "/data/hub"}, ())


@pytest.mark.parametrize(
    ("sections", "gpus"),
    [
        ({}, 1),
        (
            {
                "engine": {
                    "tensor_parallel_size": 4,
                    "pipeline_parallel_size": 2,
                    "data_parallel_size": 3,
                    "prefill_context_parallel_size": 2,
                }
            },
            48,
        ),
        ({"engine": {"tensor_parallel_size": 4, "kind": "emulated"}}, 0),
        ({"engine": {"tensor_parallel_size": 4}, "placement": {"accelerator": "cpu"}}, 0),
    ],
)
def test_a_replica_holds_a_gpu_for_each_of_its_workers(sections: dict[str, Any], gpus: int) -> None:
    assert replica(**sections).gpus == gpus


def test_shared_memory_is_the_users() -> None:
    assert replica(engine={"shm_size": "8GiB"}).shm_bytes == 8 * 2**30


def test_a_gateway_is_a_router_where_the_user_wants_it() -> None:
    launch = wanted(gateway={"host": "0.0.0.0", "port": 9300, "metrics_port": 9301, "policy": "random"}).gateway

    assert (launch.kind, launch.host, launch.port, launch.metrics_port) == (Kind.ROUTER, "0.0.0.0", 9300, 9301)
    assert (launch.runtime, launch.image, launch.args["policy"]) == ("docker", "enova/gateway:0.1.17", "random")


def test_limits_and_the_rollout_are_taken_over() -> None:
    service = wanted(
        budget={"gpus": 4},
        placement={"gpu_types": ["H100"], "devices": ["0", "1"]},
        scaling={"min": 2},
        rollout={"surge": 2, "drain_timeout": "1m", "probe": {"max_tokens": 8, "timeout": "5s"}},
        suspend=True,
    )

    assert (service.max_gpus, service.gpu_types, service.device_ids) == (4, ("H100",), ("0", "1"))
    assert (service.replicas, service.suspended) == (2, True)
    rollout = service.rollout
    assert (rollout.surge, rollout.drain_timeout_s, rollout.probe_max_tokens, rollout.probe_timeout_s) == (
        2,
        60,
        8,
        5,
    )


def test_an_emulated_engine_is_said_to_be_one() -> None:
    service = wanted(engine={"kind": "emulated"})

    assert service.replica.kind is Kind.EMULATED
    assert [str(note) for note in service.notes] == [
        "chat: emulated engine: it answers with made-up words at a simulated pace, no model runs"
    ]


def test_an_open_gateway_is_warned_of() -> None:
    (note,) = wanted(gateway={"host": "0.0.0.0"}).notes

    assert note.message.startswith("the gateway listens on 0.0.0.0; its router lets anyone")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_nothing_is_said_where_there_is_nothing_to_say(host: str) -> None:
    assert wanted(gateway={"host": host}).notes == ()


def _texts(value: ArgValue) -> tuple[str, ...]:
    assert isinstance(value, tuple)
    return value


def test_what_nothing_acts_on_yet_is_said_and_only_where_it_was_written() -> None:
    (note,) = wanted(scaling={"min": 1, "idle_to_zero": "1h"}, placement={"hosts": ["gpu-1"]}).notes

    assert str(note) == "chat: checked and kept, but nothing acts on it yet: placement.hosts, scaling.idle_to_zero"
    assert wanted(scaling={"min": 2}, budget={"gpus": 4}).notes == ()
