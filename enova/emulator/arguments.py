"""The command line: the part of `vllm serve` that shows from outside or changes speed, and what is emulated."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from enova.core.spec import Service
from enova.core.spec.check import check

VALUES = (
    "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "max_model_len", "max_num_seqs",
    "max_num_batched_tokens", "long_prefill_token_threshold", "gpu_memory_utilization", "kv_cache_memory_bytes",
    "kv_cache_dtype", "block_size", "num_gpu_blocks_override", "dtype", "quantization", "speculative_config",
    "compilation_config", "optimization_level", "performance_mode",
)  # fmt: skip
FLAGS = (
    "enable_expert_parallel", "enable_chunked_prefill", "enable_prefix_caching", "async_scheduling",
    "enforce_eager",
)  # fmt: skip
EXTRA_VALUES = ("watermark", "max_cudagraph_capture_size")
EXTRA_FLAGS = ("scheduler_reserve_full_isl",)
"""Arguments of vLLM that change its speed or its memory, by the names they have in a spec: extra ones there."""
SHORT = {"tensor_parallel_size": "-tp", "pipeline_parallel_size": "-pp", "data_parallel_size": "-dp"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one emulated engine serves, where, and what it stands in for."""

    model: str
    host: str = "127.0.0.1"
    port: int = 8000
    served_names: tuple[str, ...] = ()
    seed: int = 0
    shutdown_timeout_s: int = 0
    """How long requests in flight may take to finish after SIGTERM; like vLLM's default, not at all."""
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    engine: Mapping[str, object] = field(default_factory=dict)
    """The arguments that change speed or memory, as in a spec's section of that name."""
    gpu: str | None = None
    """The GPU to be as fast as; None: a small engine, whatever the model."""
    speed: float = 1.0
    """Everything takes as many times less than it would."""
    start_up_s: float = 0.0
    """How long it takes before it listens."""
    crash_after_s: float | None = None
    """How long after its start it ends with an error; None: it does not."""
    failing: float = 0.0
    """Share of the requests it answers with an error of its own, 0 to 1."""
    metrics_delay_s: float = 0.0
    """How long /metrics takes to answer."""
    metrics_garbage: bool = False
    """Whether /metrics answers with what nobody can read."""
    ignored: tuple[str, ...] = ()
    """Names of arguments that mean something to vLLM only."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the model names clients may use; the first labels the metrics."""
        return self.served_names or (self.model,)

    @property
    def service(self) -> Service:
        """Return a spec with these engine arguments. Raises ValueError with all that vLLM would not take."""
        # The id stands for none: whose card is used is not the spec's to say here.
        service, findings = check(
            {"metadata": {"name": "emulated"}, "model": "emulated/engine", "engine": dict(self.engine)},
            resolve=lambda path: path,
        )
        if service is None:
            raise ValueError("; ".join(f"{finding.loc[-1]} {finding.message}" for finding in findings))
        return service


def parse(words: Sequence[str], *, api_key: str | None = None) -> Settings:
    """Return the settings in command-line words; arguments of vLLM that are unknown here are listed as ignored."""
    parser = _parser()
    known, rest = parser.parse_known_args(words)
    ignored = tuple(word.split("=", 1)[0] for word in rest if word.startswith("-"))
    for word in ignored:
        if word.startswith(("--emulat", "--speed")):
            parser.error(f"unrecognized argument: {word}")
    adapters = tuple(word.split("=", 1)[0] for word in known.lora_modules)
    settings = Settings(
        model=known.model,
        host=known.host,
        port=known.port,
        served_names=(*(known.served_model_name or (known.model,)), *adapters),
        seed=known.seed,
        shutdown_timeout_s=known.shutdown_timeout,
        api_keys=tuple(known.api_key) or ((api_key,) if api_key else ()),
        engine=_engine(known),
        gpu=known.emulate_gpu,
        speed=known.speed,
        start_up_s=known.start_up,
        crash_after_s=known.crash_after,
        failing=known.failing,
        metrics_delay_s=known.metrics_delay,
        metrics_garbage=known.metrics_garbage,
        ignored=ignored,
    )
    try:
        _ = settings.service
    except ValueError as error:
        parser.error(str(error))
    return settings


def _engine(known: argparse.Namespace) -> dict[str, object]:
    def given(*names: str) -> dict[str, object]:
        return {name: getattr(known, name) for name in names if getattr(known, name) is not None}

    engine, extra = given(*VALUES, *FLAGS), given(*EXTRA_VALUES, *EXTRA_FLAGS)
    if engine.get("max_model_len") == -1:
        engine["max_model_len"] = "auto"
    return engine | ({"extra_args": extra} if extra else {})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m enova.emulator",
        description="Serve invented words when vLLM would serve a model's, for trying Enova out without a GPU.",
        epilog="Any other argument of `vllm serve` is accepted and ignored.",
        allow_abbrev=False,
    )
    parser.add_argument("model", help="the name to go by; nothing is loaded")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--served-model-name", nargs="+")
    parser.add_argument("--lora-modules", nargs="+", default=[], metavar="NAME=PATH")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shutdown-timeout", type=int, default=0, help="seconds to finish requests after SIGTERM")
    parser.add_argument("--api-key", nargs="+", default=[], help="better: the environment variable VLLM_API_KEY")
    emulated = parser.add_argument_group("what is emulated")
    emulated.add_argument(
        "--emulate-gpu",
        metavar="NAME",
        help="be as fast, and run out of memory as soon, as this model on this GPU (see `enova gpus`)",
    )
    emulated.add_argument("--speed", type=_factor, default=1.0, help="how many times faster than that")
    emulated.add_argument("--start-up", type=_seconds, default=0.0, metavar="S", help="seconds until it listens")
    emulated.add_argument(
        "--crash-after", type=_seconds, metavar="S", help="end with an error so many seconds after it listens"
    )
    emulated.add_argument(
        "--failing",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="answer this share with 500, 0 to 1",
    )
    emulated.add_argument(
        "--metrics-delay", type=_seconds, default=0.0, metavar="S", help="seconds until /metrics answers"
    )
    emulated.add_argument("--metrics-garbage", action="store_true", help="/metrics answers what nobody can read")
    same = parser.add_argument_group("as for vLLM")
    for name in VALUES + EXTRA_VALUES:
        same.add_argument(*_flags(name), dest=name, type=_value, metavar="VALUE")
    for name in FLAGS + EXTRA_FLAGS:
        same.add_argument(*_flags(name), dest=name, action=argparse.BooleanOptionalAction)
    return parser


def _flags(name: str) -> tuple[str, ...]:
    return ("--" + name.replace("_", "-"), *((SHORT[name],) if name in SHORT else ()))


def _value(text: str) -> object:
    """Return a number or a mapping where the text is one."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, got {text}")
    return share


def _factor(text: str) -> float:
    factor = float(text)
    if not 0 < factor < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return factor
