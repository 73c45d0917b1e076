"""The vLLM engine arguments Enova knows, each under vLLM's own name, typed and checked.

Unset means that vLLM, or Enova's recommendation, chooses. All others go through `engine.extra_args` as they are.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import core_schema

from enova.core.launch import ArgValue
from enova.core.spec.fault import Fault
from enova.core.spec.fields import NameOrPath, Section, Word, key
from enova.core.spec.units import ByteSize, Duration

_MAX_TOKENS = 100_000_000

Count = Annotated[int, Field(ge=1, le=65_536)]
Tokens = Annotated[int, Field(ge=1, le=_MAX_TOKENS)]
JsonObject = dict[str, Any]
"""Passed to vLLM as JSON text; its inside is vLLM's affair."""


class _AutoOr:
    """`auto`, or a number of tokens."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "integer", "minimum": 1, "maximum": _MAX_TOKENS}, {"const": "auto"}]}

    def check(self, value: object) -> int | str:
        if value == "auto":
            return "auto"
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_TOKENS:
            raise Fault(f"must be a whole number from 1 to {_MAX_TOKENS}, or auto")
        return value


class _BytesOr:
    """A size with a unit, or plain bytes: the argument's own name says bytes."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.check, serialization=core_schema.to_string_ser_schema()
        )

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        number = {"type": "integer", "minimum": 1, "maximum": 2**50}
        return {"anyOf": [number, {"type": "string", "pattern": ByteSize.PATTERN}]}

    def check(self, value: object) -> ByteSize:
        is_number = isinstance(value, int) and not isinstance(value, (bool, ByteSize))
        size = ByteSize(value) if isinstance(value, int) and is_number else ByteSize.check(value)
        if not 1 <= size <= 2**50:
            raise Fault("must be from 1B to 1024TiB")
        return size


def _whole_seconds(value: Duration) -> Duration:
    if not value.is_integer():
        raise Fault("must be a whole number of seconds")
    return value


class EngineArguments(Section):
    """Typed engine arguments, by their vLLM names."""

    # Parallelism
    tensor_parallel_size: Count | None = key("GPUs that share each layer of one replica.", 2)
    pipeline_parallel_size: Count | None = key("Stages that the layers of one replica are split into.", 1)
    data_parallel_size: Count | None = key("Copies of the attention layers inside one replica.", 1)
    prefill_context_parallel_size: Count | None = key("Ranks that split the work of one prompt.", 1)
    decode_context_parallel_size: Count | None = key("Ranks that split the KV cache of one sequence.", 1)
    enable_expert_parallel: bool | None = key("Spread whole experts of an MoE model over GPUs.", True)
    enable_eplb: bool | None = key("Rebalance experts while serving; needs enable_expert_parallel.", True)
    distributed_executor_backend: Literal["mp", "ray", "uni", "external_launcher"] | None = key(
        "How the workers of one replica are run.", "mp"
    )
    disable_custom_all_reduce: bool | None = key("Use NCCL in place of vLLM's own all-reduce.", True)

    # Model and tokenizer
    dtype: Literal["auto", "bfloat16", "float", "float16", "float32", "half"] | None = key(
        "Data type of weights and activations.", "bfloat16"
    )
    quantization: Word | None = key("How the weights are quantized; unset reads the model's config.", "fp8")
    load_format: Word | None = key("Format of the weight files.", "safetensors")
    tokenizer: NameOrPath | None = key("Tokenizer to use in place of the model's.", "Qwen/Qwen2.5-7B-Instruct")
    tokenizer_mode: Word | None = key("Which tokenizer implementation to use.", "auto")
    tokenizer_revision: Word | None = key("Revision of the tokenizer on the hub.", "main")
    config_format: Literal["auto", "hf", "mistral"] | None = key("Format of the model's config.", "hf")
    model_impl: Literal["auto", "terratorch", "transformers", "vllm"] | None = key(
        "Which implementation of the model to use.", "auto"
    )
    runner: Literal["auto", "draft", "generate", "pooling"] | None = key("What the model is used for.", "generate")
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = key("Seed for sampling.", 0)
    hf_overrides: JsonObject | None = key(
        "Values that replace the model config's own, as a mapping.", {"rope_scaling": {"rope_type": "yarn"}}
    )
    generation_config: NameOrPath | None = key(
        "`auto` reads the model's sampling defaults, `vllm` ignores them, or a folder.", "vllm"
    )
    override_generation_config: JsonObject | None = key("Sampling defaults, as a mapping.", {"temperature": 0.7})

    # Length, batching, scheduling
    max_model_len: Annotated[int | Literal["auto"], _AutoOr()] | None = key(
        "Longest prompt and output together, in tokens; `auto` is what fits into memory.", 8192
    )
    max_num_seqs: Tokens | None = key("Most sequences in one step of the engine.", 64)
    max_num_batched_tokens: Tokens | None = key("Most tokens in one step of the engine.", 8192)
    long_prefill_token_threshold: Annotated[int, Field(ge=0, le=_MAX_TOKENS)] | None = key(
        "Prompts longer than this count as long when chunks are cut; 0 is off.", 2048
    )
    enable_chunked_prefill: bool | None = key("Cut long prompts into chunks between decode steps.", True)
    scheduling_policy: Literal["fcfs", "priority"] | None = key("Order in which waiting requests run.", "fcfs")
    async_scheduling: bool | None = key("Schedule the next step while the last one runs.", True)
    stream_interval: Count | None = key("Tokens sent together in one piece of a stream.", 1)
    speculative_config: JsonObject | None = key(
        "Speculative decoding, as a mapping.", {"method": "ngram", "num_speculative_tokens": 4}
    )

    # Memory and KV cache
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = key(
        "Share of each GPU's memory that one replica may use.", 0.9
    )
    kv_cache_memory_bytes: Annotated[ByteSize, _BytesOr()] | None = key(
        "KV cache of each GPU; replaces gpu_memory_utilization.", "16GiB"
    )
    kv_cache_dtype: Word | None = key("Data type of the KV cache.", "fp8")
    block_size: Annotated[int, Field(ge=1, le=65_536)] | None = key("Tokens in one block of the KV cache.", 16)
    num_gpu_blocks_override: Annotated[int, Field(ge=1, le=2**31)] | None = key(
        "Blocks of KV cache, in place of what profiling finds.", 4096
    )
    enable_prefix_caching: bool | None = key("Reuse the KV cache of equal prompt beginnings.", True)
    prefix_caching_hash_algo: Literal["sha256", "sha256_cbor", "xxhash", "xxhash_cbor"] | None = key(
        "Hash that finds equal prompt beginnings.", "sha256"
    )
    cpu_offload_gb: Annotated[float, Field(ge=0, le=65_536)] | None = key(
        "GiB of weights for each GPU that stay in host memory.", 10
    )
    kv_offloading_size: Annotated[float, Field(gt=0, le=65_536)] | None = key(
        "GiB of host memory that holds KV cache moved off the GPU.", 32
    )
    kv_offloading_backend: Literal["lmcache", "native"] | None = key("What moves KV cache off the GPU.", "native")
    kv_transfer_config: JsonObject | None = key(
        "KV cache transfer between instances, as a mapping.",
        {"kv_connector": "NixlConnector", "kv_role": "kv_both"},
    )
    enable_sleep_mode: bool | None = key("Let the engine give its memory back while it sleeps.", True)

    # Kernels
    enforce_eager: bool | None = key("Do without CUDA graphs and compilation: slower, starts sooner.", True)
    compilation_config: JsonObject | None = key("Compilation and CUDA graphs, as a mapping.", {"mode": 3})
    optimization_level: Annotated[int, Field(ge=0, le=3)] | None = key("0 starts soonest, 3 runs fastest.", 2)
    performance_mode: Literal["balanced", "interactivity", "throughput"] | None = key(
        "What the engine is tuned for.", "balanced"
    )
    attention_backend: Word | None = key("Attention kernels.", "FLASH_ATTN")

    # Multimodal input
    limit_mm_per_prompt: JsonObject | None = key("Most items of each kind in one prompt.", {"image": 4})
    mm_processor_kwargs: JsonObject | None = key("Options of the model's input processor.", {"num_crops": 4})

    # LoRA
    enable_lora: bool | None = key("Serve LoRA adapters; on by itself where model.lora names any.", True)
    max_loras: Count | None = key("Most adapters in one batch.", 4)
    max_cpu_loras: Count | None = key("Most adapters kept in host memory.", 16)
    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] | None = key("Highest rank of an adapter.", 64)
    lora_dtype: Literal["auto", "bfloat16", "float16"] | None = key("Data type of adapters.", "auto")

    # API server
    chat_template: NameOrPath | None = key(
        "Chat template: a file (/, ./, ../, ~/) or the template.", "./chat.jinja"
    )
    chat_template_content_format: Literal["auto", "openai", "string"] | None = key(
        "How message content reaches the template.", "auto"
    )
    default_chat_template_kwargs: JsonObject | None = key(
        "Values for the chat template.", {"enable_thinking": False}
    )
    enable_auto_tool_choice: bool | None = key("Let the model decide to call tools.", True)
    tool_call_parser: Word | None = key("How tool calls are read from the output.", "hermes")
    reasoning_parser: Word | None = key("How reasoning is told from the answer.", "qwen3")
    max_logprobs: Annotated[int, Field(ge=-1, le=_MAX_TOKENS)] | None = key(
        "Most log probabilities a request may ask for; -1 is no limit.", 20
    )
    api_server_count: Count | None = key("Processes that take requests.", 1)
    disable_log_stats: bool | None = key("Do not log statistics.", True)
    enable_log_requests: bool | None = key("Log each request.", False)
    max_log_len: Annotated[int, Field(ge=0, le=_MAX_TOKENS)] | None = key(
        "Most characters of a logged prompt.", 100
    )
    shutdown_timeout: Annotated[Duration, AfterValidator(_whole_seconds)] | None = key(
        "How long running requests may go on after the signal to stop.", "30s"
    )

    def typed_args(self) -> dict[str, ArgValue]:
        """Return the typed arguments that are set, as vLLM takes them."""
        named = ((name, getattr(self, name)) for name in EngineArguments.model_fields)
        return {name: _plain(value) for name, value in named if value is not None}


JSON_ARGUMENTS = frozenset(
    name for name, field in EngineArguments.model_fields.items() if field.annotation == JsonObject | None
)
"""Arguments whose inside is not Enova's to judge."""

PATH_ARGUMENTS = frozenset(
    name for name, field in EngineArguments.model_fields.items() if field.annotation == NameOrPath | None
)
"""Arguments that may name a file or folder of this host."""


def _plain(value: str | float | JsonObject) -> ArgValue:
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    if isinstance(value, (ByteSize, Duration)):
        return int(value)
    return value
