"""What a spec means once it is read: defaults, arguments, references, and its JSON form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from enova.core.spec import Duration, SecretRef, Service
from enova.core.spec.injection import ClosedLoop

MINIMAL: dict[str, Any] = {"metadata": {"name": "chat"}, "model": "Qwen/Qwen2.5-7B-Instruct"}
SPECS = sorted((Path(__file__).parents[3] / "specs").glob("*.yaml"))


def service(**sections: Any) -> Service:
    return Service.model_validate(MINIMAL | sections)


def test_a_name_and_a_model_are_all_it_takes() -> None:
    least = service()

    assert (least.name, least.model.id, least.model.is_local) == ("chat", "Qwen/Qwen2.5-7B-Instruct", False)


def test_a_section_left_out_is_an_empty_one() -> None:
    least = service()

    assert (least.engine.kind, least.engine.args(), least.slo.ttft.p95, least.gateway.retries.max) == (
        "vllm",
        {},
        None,
        None,
    )


def test_defaults_are_as_documented() -> None:
    least = service()
    rollout = least.rollout

    assert (least.gateway.host, least.gateway.port, least.scaling.min, least.scaling.max) == (
        "127.0.0.1",
        9199,
        1,
        None,
    )
    assert (rollout.surge, rollout.max_unavailable, str(rollout.drain_timeout), str(rollout.ready_timeout)) == (
        1,
        0,
        "30s",
        "20m",
    )
    assert (least.suspend, least.model.trust_remote_code) == (False, False)


def test_arguments_are_those_that_are_set_under_vllms_names() -> None:
    written = {
        "max_num_seqs": 64,
        "enable_prefix_caching": False,
        "kv_cache_memory_bytes": "64MiB",
        "shutdown_timeout": "1m",
        "hf_overrides": {"b": [1, None], "a": "x"},
        "extra_args": {"mm_processor_cache_gb": 0.5, "disable_access_log_for_endpoints": ["/health"]},
    }

    assert service(engine=written).engine.args() == {
        "hf_overrides": '{"a":"x","b":[1,null]}',
        "max_num_seqs": 64,
        "enable_prefix_caching": False,
        "kv_cache_memory_bytes": 67_108_864,
        "shutdown_timeout": 60,
        "mm_processor_cache_gb": 0.5,
        "disable_access_log_for_endpoints": ("/health",),
    }


def test_arguments_are_plain_values_that_json_can_hold() -> None:
    args = service(engine={"kv_cache_memory_bytes": 1024, "shutdown_timeout": "5s"}).engine.args()

    assert json.dumps(args) == '{"kv_cache_memory_bytes": 1024, "shutdown_timeout": 5}'


def test_secrets_are_references() -> None:
    written = service(
        model={"id": "a/b", "token": {"env": "HF_TOKEN"}}, engine={"secrets": {"KEY": {"file": "/run/key"}}}
    )

    assert (written.model.token, written.engine.secrets) == (
        SecretRef(env="HF_TOKEN"),
        {"KEY": SecretRef(file="/run/key")},
    )


def test_paths_are_made_absolute_by_who_loads_them() -> None:
    data = {
        "metadata": {"name": "chat"},
        "model": {"id": "./m", "lora": [{"name": "x", "id": "../l"}], "cache_dir": "c", "token": {"file": "t"}},
        "engine": {"tokenizer": "./tok", "chat_template": "{{ messages }}", "secrets": {"A": {"file": "s"}}},
        "injection": {"arrival": {"process": "trace", "file": "trace.csv"}, "dataset": "d.jsonl"},
    }

    resolved = Service.model_validate(data, context={"resolve": lambda path: f"<{path}>"})

    found = (resolved.model.id, resolved.model.lora[0].id, resolved.model.cache_dir, resolved.model.token)
    assert found == ("<./m>", "<../l>", "<c>", SecretRef(file="<t>"))
    assert (resolved.engine.tokenizer, resolved.engine.chat_template) == ("<./tok>", "{{ messages }}")
    assert resolved.engine.secrets["A"] == SecretRef(file="<s>")
    assert resolved.injection.dataset == "<d.jsonl>"


def test_gpus_of_a_replica_follow_from_its_parallel_sizes() -> None:
    sizes = {"tensor_parallel_size": 4, "pipeline_parallel_size": 2}

    assert service(engine=sizes).gpus_per_replica == 8
    assert service(engine=sizes | {"kind": "emulated"}).gpus_per_replica == 0
    assert service(engine=sizes, placement={"accelerator": "cpu"}).gpus_per_replica == 0


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        service().suspend = True  # type: ignore[misc]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_the_json_form_of_every_example_reads_back_as_the_same_spec(path: Path) -> None:
    for data in YAML(typ="safe", pure=True).load_all(path.read_text(encoding="utf-8")):
        read = Service.model_validate(data)
        text = json.dumps(read.model_dump(mode="json", by_alias=True, exclude_unset=True))

        assert Service.model_validate(json.loads(text)) == read
        assert Service.model_validate_json(text) == read


def test_the_json_form_holds_only_what_was_written() -> None:
    written = service(slo={"ttft": {"p95": "1500ms"}}, gateway={"api_key": {"env": "KEY"}})

    assert written.model_dump(mode="json", by_alias=True, exclude_unset=True) == {
        "metadata": {"name": "chat"},
        "model": {"id": "Qwen/Qwen2.5-7B-Instruct"},
        "slo": {"ttft": {"p95": "1.5s"}},
        "gateway": {"api_key": {"env": "KEY"}},
    }


def test_notes_at_the_top_are_left_out() -> None:
    assert service(**{"x-owner": {"mail": "a@example.com"}}) == service()


def test_targets_come_lowest_percentile_first() -> None:
    slo = service(slo={"ttft": {"p99": "2s", "p50": "1s"}}).slo

    assert slo.ttft.targets() == {"p50": Duration(1), "p99": Duration(2)}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::1", "192.0.2.10"])
def test_docker_publishes_on_any_address(host: str) -> None:
    assert service(gateway={"host": host}).gateway.host == host


def test_localhost_is_the_address_it_stands_for() -> None:
    assert service(gateway={"host": "localhost"}).gateway.host == "127.0.0.1"


def test_a_process_may_listen_on_a_name() -> None:
    written = service(gateway={"host": "gpu-1"}, placement={"runtime": "process"})

    assert written.gateway.host == "gpu-1"


@pytest.mark.parametrize(
    ("sections", "runtime"),
    [
        ({}, "docker"),
        ({"engine": {"kind": "emulated"}}, "process"),
        ({"engine": {"kind": "emulated"}, "placement": {"runtime": "docker"}}, "docker"),
        ({"placement": {"runtime": "process"}}, "process"),
    ],
)
def test_a_runtime_left_open_is_the_one_that_suits_the_engine(sections: dict[str, Any], runtime: str) -> None:
    assert service(**sections).runtime == runtime


def test_a_closed_loop_has_users_who_do_not_think_unless_told_to() -> None:
    arrival = service(injection={"arrival": {"process": "closed_loop", "users": 8}}).injection.arrival

    assert isinstance(arrival, ClosedLoop)
    assert (arrival.users, str(arrival.think_time)) == (8, "0s")
