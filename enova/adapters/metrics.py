"""vLLM's `/metrics` read into snapshots, one for each engine behind the address, and into histograms."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from enova.core.engine.snapshot import Snapshot
from enova.core.ledger.histogram import Histogram
from enova.core.ledger.window import Look
from enova.errors import ObserveError

T = TypeVar("T")

NAMES: dict[str, tuple[str, ...]] = {
    "running": ("vllm:num_requests_running",),
    "waiting": ("vllm:num_requests_waiting",),
    "kv_usage": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    "steps": ("vllm:iteration_tokens_total_count",),
    "prompt_tokens": ("vllm:prompt_tokens_total",),
    # Not gpu_prefix_cache_hits_total, its first name: that counted blocks for a while.
    "cached_tokens": ("vllm:prompt_tokens_cached_total", "vllm:prefix_cache_hits_total"),
    "output_tokens": ("vllm:generation_tokens_total",),
    "first_tokens": ("vllm:time_to_first_token_seconds_count",),
    # Renamed in 0.11. request_time_per_output_token_seconds is something else: one mean a request.
    "gaps": ("vllm:inter_token_latency_seconds_count", "vllm:time_per_output_token_seconds_count"),
    "gaps_s": ("vllm:inter_token_latency_seconds_sum", "vllm:time_per_output_token_seconds_sum"),
    "finished": ("vllm:e2e_request_latency_seconds_count",),
    "finished_prompt_tokens": ("vllm:request_prompt_tokens_sum",),
    "finished_output_tokens": ("vllm:request_generation_tokens_sum",),
    "latency_s": ("vllm:e2e_request_latency_seconds_sum",),
    "queue_s": ("vllm:request_queue_time_seconds_sum",),
    "prefill_s": ("vllm:request_prefill_time_seconds_sum",),
    "decode_s": ("vllm:request_decode_time_seconds_sum",),
    "preemptions": ("vllm:num_preemptions_total",),
}
"""What the fields of a snapshot are called, newest name first."""
HISTOGRAMS: dict[str, tuple[str, ...]] = {
    "e2e": ("vllm:e2e_request_latency_seconds",),
    "itl": ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
    # One mean a request.
    "tpot": ("vllm:request_time_per_output_token_seconds",),
    "ttft": ("vllm:time_to_first_token_seconds",),
}
"""What the latencies of requests are called, newest name first.

Not request_queue_time_seconds: it begins when the scheduler sees a request, which is only between steps, and so
leaves out most of what a forecast calls queueing.
"""
LENGTHS = "vllm:request_generation_tokens"
STARTED = "process_start_time_seconds"
ANSWERS = "http_request_duration_seconds"
STATUSES = "http_requests_total"
"""Answers by class of status: `5xx`. A server that has answered with no error yet has no such line."""
COMPLETIONS = frozenset({"/v1/completions", "/v1/chat/completions", "/v1/responses"})
CACHE = "vllm:cache_config_info"


class HttpMetrics:
    """Read the metrics of one server, over and over."""

    def __init__(
        self, url: str, *, timeout_s: float = 5.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._monotonic = monotonic
        self._client = httpx.Client(timeout=timeout_s, trust_env=False)

    def read(self) -> dict[str, Snapshot]:
        """Return a snapshot of each engine by its label; raise ObserveError if there was no answer.

        Its time is the middle of the call.
        """
        return self._read(snapshots_of)

    def look(self) -> Look:
        """Return the same with the histograms of latencies."""
        return self._read(look_of)

    def close(self) -> None:
        """Give up its connection."""
        self._client.close()

    def _read(self, reader: Callable[[str, float], T]) -> T:
        before_s = self._monotonic()
        try:
            answer = self._client.get(f"{self._url}/metrics").raise_for_status()
            return reader(answer.text, (before_s + self._monotonic()) / 2)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise ObserveError(
                f"metrics of {self._url} could not be read: {error}",
                hint="check the address; a server started with --disable-log-stats has no metrics",
            ) from error


def look_of(exposition: str, at_s: float) -> Look:
    """Return all that a page read at `at_s` says of its engines' latencies. Bad text is a ValueError."""
    cells: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    sums: dict[str, float] = defaultdict(float)
    started_s, statuses = None, dict[str, float]()
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            name, _, part = sample.name.rpartition("_")
            if name in _HISTOGRAMS and part == "bucket":
                cells[name][float(sample.labels.get("le", ""))] += sample.value
            elif name in _HISTOGRAMS and part == "sum":
                sums[name] += sample.value
            elif sample.name == STARTED:
                started_s = sample.value
            elif sample.name == STATUSES and sample.labels.get("handler") in COMPLETIONS:
                status = sample.labels.get("status", "")[:1]
                statuses[status] = statuses.get(status, 0.0) + sample.value
    found = {metric: next((name for name in names if name in cells), None) for metric, names in HISTOGRAMS.items()}
    histograms = {metric: _histogram(cells[name], sums[name]) for metric, name in found.items() if name}
    if "tpot" in histograms:
        histograms["tpot"] = _of_several_tokens(histograms["tpot"], cells[LENGTHS])
    errors = statuses.get("5", 0.0) if statuses else None
    return Look(engines=snapshots_of(exposition, at_s), histograms=histograms, started_s=started_s, errors=errors)


def look_at(url: str, monotonic: Callable[[], float] = time.monotonic) -> Look:
    """Return what the metrics of one server say now, by a clock. Raises ObserveError."""
    metrics = HttpMetrics(url.rstrip("/"), monotonic=monotonic)
    try:
        return metrics.look()
    finally:
        metrics.close()


def snapshots_of(exposition: str, at_s: float) -> dict[str, Snapshot]:
    """Return a snapshot of each engine by its label, from a page read at `at_s`. Bad text is a ValueError."""
    values: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    capacities: dict[str, float] = {}
    answered: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(exposition):
        if family.name == CACHE:
            capacities |= _capacities(family)
        for sample in family.samples:
            if sample.name.startswith(ANSWERS) and sample.labels.get("handler") in COMPLETIONS:
                answered[sample.name] += sample.value
            elif sample.name in _READ and math.isfinite(sample.value):
                values[sample.labels.get("engine", "0")][sample.name] += sample.value
    # Answers are counted for the server as a whole; with several engines nobody knows whose they are.
    http = answered if len(values) == 1 else {}
    return {
        engine: Snapshot(
            at_s=at_s,
            kv_tokens_capacity=capacities.get(engine),
            answers=http.get(f"{ANSWERS}_count"),
            answers_s=http.get(f"{ANSWERS}_sum"),
            **{field: _first(found, names) for field, names in NAMES.items()},
        )
        for engine, found in sorted(values.items())
    }


_HISTOGRAMS = frozenset((LENGTHS, *(name for names in HISTOGRAMS.values() for name in names)))
_READ = frozenset(name for names in NAMES.values() for name in names)


def _histogram(cells: dict[float, float], total: float) -> Histogram:
    edges = tuple(sorted(cells))
    return Histogram(edges, tuple(cells[edge] for edge in edges), total)


def _of_several_tokens(tpot: Histogram, lengths: dict[float, float]) -> Histogram:
    """Return times per token without answers of a single token: they have none, and vLLM counts them as 0.

    An engine that leaves these out itself has that many fewer times than answers.
    """
    answers = max(lengths.values(), default=tpot.count)
    zeros = max(0.0, lengths.get(1.0, 0.0) - (answers - tpot.count))
    return Histogram(tpot.edges, tuple(count - zeros for count in tpot.counts), tpot.total)


def _first(found: dict[str, float], names: tuple[str, ...]) -> float | None:
    return next((found[name] for name in names if name in found), None)


def _capacities(family: Metric) -> dict[str, float]:
    """Return the tokens each engine's cache holds, where it says so, or how many blocks of what size it has."""
    result = {}
    for sample in family.samples:
        labels = sample.labels
        tokens = labels.get("kv_cache_size_tokens", "")
        blocks, size = labels.get("num_gpu_blocks", ""), labels.get("block_size", "")
        if tokens.isdecimal():
            result[labels.get("engine", "0")] = float(tokens)
        elif blocks.isdecimal() and size.isdecimal():
            result[labels.get("engine", "0")] = float(blocks) * float(size)
    return result
