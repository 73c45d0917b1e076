"""The command line: the part of `vllm serve` that shows from outside, and the knobs of the emulation."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

from enova.emulator.timing import ConstantRate, Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one emulated engine serves, where, and how fast."""

    model: str
    host: str = "127.0.0.1"
    port: int = 8000
    served_names: tuple[str, ...] = ()
    max_num_seqs: int = 256
    max_model_len: int = 32_768
    seed: int = 0
    shutdown_timeout_s: int = 0
    """How long requests in flight may take to finish after SIGTERM; like vLLM's default, not at all."""
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    timing: Timing = field(default_factory=ConstantRate)
    ignored: tuple[str, ...] = ()
    """Names of arguments that mean something to vLLM only."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the model names clients may use; the first labels the metrics."""
        return self.served_names or (self.model,)

    @property
    def kv_tokens(self) -> int:
        """Return the size of the KV cache. It holds all that may run at full length, so it never binds."""
        return self.max_num_seqs * self.max_model_len


def parse(words: Sequence[str], *, api_key: str | None = None) -> Settings:
    """Return the settings in command-line words; arguments of vLLM that are unknown here are listed as ignored."""
    parser = _parser()
    known, rest = parser.parse_known_args(words)
    ignored = tuple(word.split("=", 1)[0] for word in rest if word.startswith("-"))
    for word in ignored:
        if word.startswith("--emulated"):
            parser.error(f"unrecognized argument: {word}")
    rate = ConstantRate(
        overhead_s=known.emulated_overhead,
        prefill_tokens_per_s=known.emulated_prefill_rate,
        output_token_s=known.emulated_token_time,
    )
    adapters = tuple(word.split("=", 1)[0] for word in known.lora_modules)
    return Settings(
        model=known.model,
        host=known.host,
        port=known.port,
        served_names=(*(known.served_model_name or (known.model,)), *adapters),
        max_num_seqs=known.max_num_seqs,
        max_model_len=known.max_model_len,
        seed=known.seed,
        shutdown_timeout_s=known.shutdown_timeout,
        api_keys=tuple(known.api_key) or ((api_key,) if api_key else ()),
        timing=rate,
        ignored=ignored,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m enova.emulator",
        description="Serve invented words like vLLM would serve a model, for trying Enova out without a GPU.",
        epilog="Any other argument of `vllm serve` is accepted and ignored.",
        allow_abbrev=False,
    )
    parser.add_argument("model", help="the name to go by; nothing is loaded")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--served-model-name", nargs="+")
    parser.add_argument("--lora-modules", nargs="+", default=[], metavar="NAME=PATH")
    parser.add_argument("--max-num-seqs", type=_positive, default=256, help="how many requests run at once")
    parser.add_argument("--max-model-len", type=_positive, default=32_768, help="tokens of prompt and answer")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shutdown-timeout", type=int, default=0, help="seconds to finish requests after SIGTERM")
    parser.add_argument("--api-key", nargs="+", default=[], help="better: the environment variable VLLM_API_KEY")
    rate = ConstantRate()
    emulated = parser.add_argument_group("timing of the emulation")
    emulated.add_argument(
        "--emulated-overhead",
        type=_duration,
        default=rate.overhead_s,
        help="seconds to the first token, at least",
    )
    emulated.add_argument(
        "--emulated-prefill-rate", type=_rate, default=rate.prefill_tokens_per_s, help="prompt tokens per second"
    )
    emulated.add_argument(
        "--emulated-token-time", type=_duration, default=rate.output_token_s, help="seconds per output token"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def _duration(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be seconds, 0 or more, got {text}")
    return seconds


def _rate(text: str) -> float:
    rate = float(text)
    if not rate > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return rate
