# ruff: noqa: E501 - one mistake a line
"""What is refused, and in which words: all of it at once, plain, with a hint, and without repeating secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter

from enova.core.spec.check import check
from enova.core.spec.fields import Section
from enova.core.spec.outline import keys_at, places_of
from enova.core.spec.service import Service

MINIMAL: dict[str, Any] = {"metadata": {"name": "chat"}, "model": "Qwen/Qwen2.5-7B-Instruct"}
CANARY = "sk-canary-4f1c"


def findings(**given: Any) -> list[str]:
    _, found = check(MINIMAL | given, resolve=str)
    return [
        ".".join(map(str, item.loc)) + f": {item.message}" + (f" ({item.hint})" if item.hint else "")
        for item in found
    ]


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"apiVersion": "enova/v2"}, "apiVersion: must be enova/v1"),
        ({"engines": {}}, "engines: unknown key (did you mean engine?)"),
        ({"max_num_seqs": 4}, "max_num_seqs: unknown key (did you mean engine.max_num_seqs?)"),
        ({"engine": {"maxNumSeqs": 4}}, "engine.maxNumSeqs: unknown key (did you mean max_num_seqs?)"),
        ({"engine": {"max-num-seqs": 4}}, "engine.max-num-seqs: unknown key (did you mean max_num_seqs?)"),
        ({"engine": {"zzz": 4}}, "engine.zzz: unknown key (other vLLM arguments go into engine.extra_args)"),
        ({"budget": {"zzz": 4}}, "budget.zzz: unknown key (known here: cost, gpus)"),
        ({"engine": {"dtype": "bf16"}}, "engine.dtype: must be one of auto, bfloat16, float, float16, float32, half (did you mean bfloat16?)"),
        ({"engine": {"max_lora_rank": 12}}, "engine.max_lora_rank: must be one of 1, 8, 16, 32, 64, 128, 256, 320, 512 (did you mean 512?)"),
        ({"engine": {"max_num_seqs": 0}}, "engine.max_num_seqs: must be at least 1"),
        ({"engine": {"max_num_seqs": True}}, "engine.max_num_seqs: must be a whole number, not true or false"),
        ({"engine": {"max_num_seqs": "64"}}, "engine.max_num_seqs: must be a whole number, not text (remove the quotes)"),
        ({"engine": {"max_num_seqs": 1.5}}, "engine.max_num_seqs: must be a whole number, not a number"),
        ({"engine": {"max_num_seqs": 10**30}}, "engine.max_num_seqs: must be at most 100000000"),
        ({"engine": {"gpu_memory_utilization": 0}}, "engine.gpu_memory_utilization: must be more than 0"),
        ({"engine": {"gpu_memory_utilization": float("nan")}}, "engine.gpu_memory_utilization: must be a finite number"),
        ({"engine": {"gpu_memory_utilization": 1.5}}, "engine.gpu_memory_utilization: must be at most 1"),
        ({"engine": {"enforce_eager": "yes"}}, "engine.enforce_eager: must be true or false, not text (write true or false, without quotes)"),
        ({"engine": {"max_model_len": "8k"}}, "engine.max_model_len: must be a whole number from 1 to 100000000, or auto"),
        ({"engine": {"version": 0.11}}, "engine.version: must be text, not a number (put it in quotes)"),
        ({"engine": {"hf_overrides": [1]}}, "engine.hf_overrides: must be a mapping, not a list"),
        ({"engine": []}, "engine: must be a mapping, not a list"),
        ({"engine": {"shutdown_timeout": 30}}, "engine.shutdown_timeout: needs a unit: a duration (write 30ms or 30s)"),
        ({"engine": {"shutdown_timeout": "1500ms"}}, "engine.shutdown_timeout: must be a whole number of seconds"),
        ({"engine": {"kv_cache_memory_bytes": 0}}, "engine.kv_cache_memory_bytes: must be from 1B to 1024TiB"),
        ({"engine": {"max_num_seqs": 64, "max_num_batched_tokens": 8}}, "engine.max_num_batched_tokens: must be at least max_num_seqs (64)"),
        ({"engine": {"max_model_len": 64, "max_num_batched_tokens": 8, "enable_chunked_prefill": False}},
         "engine.max_num_batched_tokens: must be at least max_model_len (64) when enable_chunked_prefill is false"),
        ({"engine": {"max_loras": 4, "max_cpu_loras": 2}}, "engine.max_cpu_loras: must be at least max_loras (4)"),
        ({"engine": {"enable_auto_tool_choice": True}}, "engine.enable_auto_tool_choice: needs tool_call_parser (for example hermes)"),
        ({"engine": {"enable_eplb": True}}, "engine.enable_eplb: needs enable_expert_parallel: true"),
        ({"engine": {"kv_offloading_backend": "native"}}, "engine.kv_offloading_backend: needs kv_offloading_size"),
        ({"engine": {"extra_args": {"seed": 1}}}, "engine.extra_args.seed.[key]: is an argument Enova knows and checks (move it to engine.seed)"),
        ({"engine": {"extra_args": {"no_async_scheduling": True}}},
         "engine.extra_args.no_async_scheduling.[key]: is the negative of a known argument (write async_scheduling: false in engine)"),
        ({"engine": {"extra_args": {"port": 1}}}, "engine.extra_args.port.[key]: cannot be set here (Enova chooses where replicas listen)"),
        ({"engine": {"extra_args": {"--foo": 1}}},
         "engine.extra_args.--foo.[key]: must be an argument's name with underscores, without leading dashes (for example mm_processor_cache_gb)"),
        ({"engine": {"extra_args": {"foo": {}}}}, "engine.extra_args.foo: must be text, a number, true, false or a list of texts (write a mapping as JSON text)"),
        ({"engine": {"env": {"A": True}}}, "engine.env.A: must be text (put it in quotes)"),
        ({"engine": {"env": {"CUDA_VISIBLE_DEVICES": "0"}}}, "engine.env.CUDA_VISIBLE_DEVICES.[key]: is set by Enova (choose GPUs with placement.devices)"),
        ({"engine": {"env": {"A": "x"}, "secrets": {"A": {"env": "B"}}}}, "engine.secrets.A: is also in engine.env (keep one of the two)"),
        ({"slo": {"ttft": {"p95": "1s", "p99": "500ms"}}}, "slo.ttft.p99: must be at least p95 (1s)"),
        ({"slo": {"ttft": {"p95": "0s"}}}, "slo.ttft.p95: must be longer than 0s"),
        ({"slo": {"ttft": {"mean": "1s"}}}, "slo.ttft.mean: unknown key (known here: p50, p90, p95, p99, p99_9)"),
        ({"slo": {"ttft": {"p95": "2s"}, "e2e": {"p95": "1s"}}}, "slo.e2e.p95: must be at least ttft.p95 (2s): the first token is part of it"),
        ({"scaling": {"min": 3, "max": 2}}, "scaling.max: must be at least min (3)"),
        ({"rollout": {"surge": 0}}, "rollout.max_unavailable: must be at least 1 when surge is 0, or nothing could be replaced"),
        ({"gateway": {"port": 70_000}}, "gateway.port: must be at most 65535"),
        ({"gateway": {"port": 9, "metrics_port": 9}}, "gateway.metrics_port: must differ from port (9)"),
        ({"gateway": {"policy": "round-robin"}},
         "gateway.policy: must be one of round_robin, random, cache_aware, consistent_hash, sticky_least_loaded (did you mean round_robin?)"),
        ({"gateway": {"policy": "power_of_two"}},
         "gateway.policy: power_of_two is not possible: the router does not start with it before it has two workers (cache_aware follows the load of replicas too; round_robin adds the least latency)"),
        ({"gateway": {"policy": 2}}, "gateway.policy: must be one of round_robin, random, cache_aware, consistent_hash, sticky_least_loaded"),
        ({"gateway": {"host": "gpu-1"}},
         "gateway.host: must be an IP address of this host, on which Docker publishes (127.0.0.1, or 0.0.0.0 for all; host names go with placement.runtime: process)"),
        ({"gateway": {"host": "256.1.1.1"}},
         "gateway.host: must be an IP address of this host, on which Docker publishes (127.0.0.1, or 0.0.0.0 for all; host names go with placement.runtime: process)"),
        ({"gateway": {"retries": {"initial_backoff": "2s", "max_backoff": "1s"}}}, "gateway.retries.max_backoff: must be at least initial_backoff (2s)"),
        ({"placement": {"devices": [0]}}, "placement.devices.0: must be text, not a whole number (put it in quotes)"),
        ({"placement": {"hosts": "a"}}, "placement.hosts: must be a list, not text (write it as [a, b])"),
        ({"placement": {"hosts": []}}, "placement.hosts: must have at least 1 entry"),
        ({"placement": {"devices": ["0"]}, "engine": {"tensor_parallel_size": 2}}, "placement.devices: must name at least the 2 GPUs of one replica"),
        ({"budget": {"gpus": 1}, "engine": {"tensor_parallel_size": 2}},
         "budget.gpus: must be at least 2: 1 x 2 per replica (lower scaling.min or the parallel sizes)"),
        ({"injection": {"arrival": {"rate": "1/s"}}}, "injection.arrival.process: is required"),
        ({"injection": {"arrival": {"process": "gama", "rate": "1/s"}}},
         "injection.arrival.process: must be one of poisson, constant, gamma, normal, stages, diurnal, trace, closed_loop (did you mean gamma?)"),
        ({"injection": {"arrival": {"process": "gamma", "rate": "1/s"}}}, "injection.arrival.gamma.cv: is required"),
        ({"injection": {"arrival": {"process": "stages", "stages": []}}}, "injection.arrival.stages.stages: must have at least 1 entry"),
        ({"injection": {"prompt_tokens": {"distribution": "uniform", "min": 9, "max": 2}}}, "injection.prompt_tokens.uniform.max: must be at least min (9)"),
        ({"injection": {"prompt_tokens": {"distribution": "empirical", "values": [1], "weights": [1, 2]}}},
         "injection.prompt_tokens.empirical.weights: must have as many entries as values (1)"),
        ({"injection": {"dataset": "d", "classes": [{"name": "a", "weight": 1}]}}, "injection.dataset: cannot stand beside classes (move it into each class)"),
        ({"injection": {"shared_prefix": {"tokens": 9}, "classes": [{"name": "a", "weight": 1}]}},
         "injection.shared_prefix: cannot stand beside classes (move it into each class)"),
        ({"model": {"id": "tiny"}},
         "model.id: must be a hub id such as Qwen/Qwen2.5-7B-Instruct, or a folder (write org/name for the hub; a local folder starts with /, ./, ../ or ~/)"),
        ({"model": {"id": "./m", "revision": "main"}}, "model.revision: a local folder has no revision (remove it)"),
        ({"model": {"id": "a/b", "lora": [{"name": "a/b", "id": "c/d"}]}}, "model.lora.0.name: is already the name of another model of this service"),
        ({"model": {"id": "a/b", "lora": [{"name": "x", "id": "c/d"}]}, "engine": {"enable_lora": False}},
         "engine.enable_lora: must not be false while model.lora names adapters"),
        ({"metadata": {}}, "metadata.name: is required"),
        ({"metadata": {"name": "a" * 41}}, "metadata.name: must be 1 to 40 lower-case letters, digits and dashes, with no dash at an end (for example qwen-chat)"),
        ({"metadata": {"name": "chat\n"}}, "metadata.name: must be 1 to 40 lower-case letters, digits and dashes, with no dash at an end (for example qwen-chat)"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_in_plain_words(sections: dict[str, Any], said: str) -> None:
    assert findings(**sections) == [said]


@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"id": "a/b", "token": CANARY}},
        {"model": {"id": "a/b", "token": {CANARY: None}}},
        {"model": {"id": "a/b", "token": {"env": CANARY}}},
        {"model": {"id": "a/b", "token": {"env": "A", "value": CANARY}}},
        {"model": {"id": "a/b", "token": [CANARY]}},
        {"model": {"id": "a/b", "proxy": f"http://me:{CANARY}@proxy.example.com"}},
        {"engine": {"secrets": {"A": CANARY}}},
        {"engine": {"env": {"HF_TOKEN": CANARY}}},
        {"engine": {"extra_args": {"api_key": CANARY}}},
        {"gateway": {"api_key": CANARY}},
    ],
)
def test_what_may_be_a_secret_is_refused_and_not_repeated(sections: dict[str, Any]) -> None:
    said = findings(**sections)

    assert len(said) == 1
    assert CANARY not in said[0]


def test_a_secret_in_the_spec_is_refused_with_the_reason_and_the_way_out() -> None:
    said = findings(gateway={"api_key": CANARY})

    assert said == [
        (
            "gateway.api_key: must name where the secret is, not be the secret: what is written here ends up in git"
            " and in logs (write {env: NAME} or {file: PATH})"
        )
    ]


@pytest.mark.parametrize("name", ["TOKENIZERS_PARALLELISM", "VLLM_MAX_TOKENS", "KEYBOARD", "OMP_NUM_THREADS"])
def test_names_that_only_resemble_a_secrets_are_fine(name: str) -> None:
    assert findings(engine={"env": {name: "1"}}) == []


def test_rules_between_keys_are_checked_although_other_keys_are_wrong() -> None:
    said = findings(
        engine={"dtype": "x", "max_num_seqs": 64, "max_num_batched_tokens": 8},
        scaling={"min": 2, "max": 1},
        budget={"gpus": 1},
        sloo={},
    )

    assert {line.split(":")[0] for line in said} == {
        "engine.dtype",
        "engine.max_num_batched_tokens",
        "scaling.max",
        "sloo",
    }


@pytest.mark.parametrize("data", [None, 1, "chat", [], [MINIMAL], True])
def test_what_is_no_mapping_is_refused(data: object) -> None:
    _, found = check(data, resolve=str)

    assert [item.message.split(",")[0] for item in found] == ["must be a mapping"]


def sections(root: type[Section]) -> Iterator[type[Section]]:
    for model in root.__subclasses__():
        yield model
        yield from sections(model)


@pytest.mark.parametrize("model", sorted(set(sections(Section)), key=str), ids=lambda model: model.__name__)
def test_every_key_has_a_description_and_an_example_that_is_right(model: type[Section]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.examples, name
        checked: Any = Annotated[field.annotation, "key", *field.metadata]
        adapter: TypeAdapter[Any] = TypeAdapter(checked)
        for example in field.examples:
            adapter.validate_python(example)


def test_the_outline_knows_keys_below_a_chosen_variant() -> None:
    assert keys_at(("injection", "arrival", "gamma")) == ("process", "rate", "cv")
    assert places_of("tensor_parallel_size") == ("engine.tensor_parallel_size",)
    assert keys_at(("engine", "env")) == ()
    assert set(Service.model_fields) - {"api_version"} == set(keys_at(())) - {"apiVersion"}
