"""How a replica is run: the program, its arguments, environment and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Strict, model_validator
from pydantic_core import core_schema

from enova.core.launch import ArgValue
from enova.core.spec.arguments import EngineArguments
from enova.core.spec.fault import Fault, raise_all
from enova.core.spec.fields import EnvName, FilePath, Matching, Secret, Word, key
from enova.core.spec.units import ByteSize

_SECRET_WORDS = frozenset({"TOKEN", "KEY", "APIKEY", "PASSWORD", "PASSWD", "SECRET", "SECRETS", "CREDENTIALS"})

_SET_BY_ENOVA_ENV = {
    "CUDA_VISIBLE_DEVICES": "choose GPUs with placement.devices",
    "NVIDIA_VISIBLE_DEVICES": "choose GPUs with placement.devices",
}
_SET_ELSEWHERE = {
    "api_key": "put VLLM_API_KEY into engine.secrets",
    "code_revision": "use model.revision",
    "config": "write the arguments here, where they can be checked",
    "data_parallel_rank": "Enova starts whole replicas",
    "device_ids": "choose GPUs with placement.devices",
    "download_dir": "use model.cache_dir",
    "headless": "Enova starts whole replicas",
    "hf_token": "use model.token",
    "host": "Enova chooses where replicas listen",
    "lora_modules": "use model.lora",
    "model": "use model.id",
    "port": "Enova chooses where replicas listen",
    "revision": "use model.revision",
    "served_model_name": "use model.served_names",
    "ssl_certfile": "replicas speak plain HTTP to the gateway",
    "ssl_keyfile": "replicas speak plain HTTP to the gateway",
    "trust_remote_code": "use model.trust_remote_code",
    "uds": "Enova chooses where replicas listen",
}


class _Scalar:
    """A value for `extra_args`: text, number, true or false, or a list of texts."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        texts = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"anyOf": [{"type": ["string", "number", "boolean"]}, texts]}

    def check(self, value: object) -> ArgValue:
        if isinstance(value, (list, tuple)):
            if not value or not all(isinstance(item, str) for item in value):
                raise Fault("must be a list of texts that is not empty", hint="put the items in quotes")
            return tuple(value)
        if isinstance(value, (str, bool, int)) or (isinstance(value, float) and abs(value) < float("inf")):
            return value
        raise Fault("must be text, a number, true, false or a list of texts", hint="write a mapping as JSON text")


class _EnvValue:
    """Environment values are text; a whole number is as good as text."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": ["string", "integer"], "pattern": r"^[^\x00]*$"}

    def check(self, value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise Fault("must be text", hint="put it in quotes")
        if "\x00" in str(value):
            raise Fault("must not hold a NUL character")
        return str(value)


def looks_secret(name: str) -> bool:
    """Tell whether a variable or argument is named like a secret: HF_TOKEN, OPENAI_API_KEY."""
    return not _SECRET_WORDS.isdisjoint(re.split(r"[_.-]", name.upper()))


def _check_arg_name(name: str) -> str:
    if name in EngineArguments.model_fields:
        raise Fault("is an argument Enova knows and checks", hint=f"move it to engine.{name}")
    if name in _SET_ELSEWHERE:
        raise Fault("cannot be set here", hint=_SET_ELSEWHERE[name])
    if name.startswith("no_") and name[3:] in EngineArguments.model_fields:
        raise Fault("is the negative of a known argument", hint=f"write {name[3:]}: false in engine")
    if looks_secret(name):
        raise Fault("looks like a secret", hint="process arguments are visible to all; use engine.secrets")
    return name


def _check_env_name(name: str) -> str:
    if name in _SET_BY_ENOVA_ENV:
        raise Fault("is set by Enova", hint=_SET_BY_ENOVA_ENV[name])
    if looks_secret(name):
        hint = f"move it to engine.secrets: {{{name}: {{env: {name}}}}}"
        raise Fault("looks like a secret, and secrets do not belong in a spec", hint=hint)
    return name


PublicEnvName = Annotated[EnvName, AfterValidator(_check_env_name)]
ArgName = Annotated[
    str,
    Matching(
        r"^[a-z][a-z0-9_]{0,79}$",
        "an argument's name with underscores, without leading dashes",
        "for example mm_processor_cache_gb",
    ),
    AfterValidator(_check_arg_name),
]


class Engine(EngineArguments):
    """The engine: which program, which version, which arguments."""

    kind: Literal["vllm", "emulated"] = key(
        "`vllm` is the real engine; `emulated` answers with made-up text and needs no GPU.", "vllm", "vllm"
    )
    image: Word | None = key("Container image with vLLM's entrypoint.", "vllm/vllm-openai:v0.11.0")
    version: (
        Annotated[str, Matching(r"^[0-9]+\.[0-9]+[0-9A-Za-z.+_-]*$", "a version", "for example 0.11.0")] | None
    ) = key("vLLM version: the tag of the default image, or what a custom image holds.", "0.11.0")
    may_quantize: Annotated[tuple[Literal["kv_cache", "weights"], ...], Strict(strict=False)] = key(
        "What may be stored in fewer bits than the checkpoint's if that is cheaper; it changes answers a little.",
        ["kv_cache"],
        (),
        max_length=2,
    )
    calibration: FilePath | None = key(
        "Step times learnt from this very engine (`enova calibrate`), in place of those of its GPU's kind.",
        "./chat.calibration.json",
    )
    shm_size: ByteSize | None = key("Shared memory of a replica's container.", "8GiB")
    env: dict[PublicEnvName, Annotated[str, _EnvValue()]] = key(
        "Environment variables of a replica. Secrets go into `secrets`.", {"VLLM_LOGGING_LEVEL": "INFO"}, {}
    )
    secrets: dict[EnvName, Secret] = key(
        "Environment variables of a replica whose values come from elsewhere.",
        {"VLLM_API_KEY": {"file": "/run/secrets/vllm"}},
        {},
    )
    extra_args: dict[ArgName, Annotated[ArgValue, _Scalar()]] = key(
        "Any other vLLM argument, by its name with underscores.", {"mm_processor_cache_gb": 2}, {}
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Engine:
        raise_all(list(_conflicts(self)))
        return self

    def args(self) -> dict[str, ArgValue]:
        """Return every engine argument that is set, typed and extra, by name; mappings as compact JSON."""
        return self.typed_args() | self.extra_args


def _conflicts(engine: Engine) -> Iterator[Fault]:
    for name in engine.secrets:
        if name in engine.env:
            yield Fault("is also in engine.env", hint="keep one of the two", path=("secrets", name))
    yield from _what_vllm_refuses(engine)


def _what_vllm_refuses(engine: Engine) -> Iterator[Fault]:
    batched, seqs = engine.max_num_batched_tokens, engine.max_num_seqs
    if batched and seqs and batched < seqs:
        yield Fault(f"must be at least max_num_seqs ({seqs})", path=("max_num_batched_tokens",))
    length = engine.max_model_len
    if batched and isinstance(length, int) and batched < length and engine.enable_chunked_prefill is False:
        yield Fault(
            f"must be at least max_model_len ({length}) when enable_chunked_prefill is false",
            path=("max_num_batched_tokens",),
        )
    if engine.max_loras and engine.max_cpu_loras and engine.max_cpu_loras < engine.max_loras:
        yield Fault(f"must be at least max_loras ({engine.max_loras})", path=("max_cpu_loras",))
    if engine.enable_auto_tool_choice and not engine.tool_call_parser:
        yield Fault("needs tool_call_parser", hint="for example hermes", path=("enable_auto_tool_choice",))
    if engine.enable_eplb and not engine.enable_expert_parallel:
        yield Fault("needs enable_expert_parallel: true", path=("enable_eplb",))
    if engine.kv_offloading_backend and not engine.kv_offloading_size:
        yield Fault("needs kv_offloading_size", path=("kv_offloading_backend",))
