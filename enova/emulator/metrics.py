"""Metrics under the names, labels and buckets of vLLM 0.32 (held to its real text by a contract test)."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

TOKEN_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
FIRST_TOKEN_BUCKETS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20,
    40, 80, 160, 640, 2560,
)  # fmt: skip
NEXT_TOKEN_BUCKETS = (
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
    20,
    40,
    80,
)
REQUEST_BUCKETS = (
    0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
)  # fmt: skip
STEP_BUCKETS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
PREEMPTION_BUCKETS = (1, 2, 3, 4, 5, 10, 20)
N_BUCKETS = (1, 2, 5, 10, 20)
FINISHED_REASONS = ("stop", "length", "abort", "error", "repetition")
WAITING_REASONS = ("capacity", "deferred")


class Cache(NamedTuple):
    """The settings of the KV cache that are among the metrics, under vLLM's names."""

    block_size: int = 16
    num_gpu_blocks: int = 0
    kv_cache_size_tokens: int = 0
    enable_prefix_caching: bool = False
    cache_dtype: str = "auto"


class Metrics:
    """The metrics of one engine, in a registry of their own, so that one process can hold several engines."""

    def __init__(self, *, model_name: str, cache: Cache) -> None:
        self._registry = CollectorRegistry()
        self._labels = {"engine": "0", "model_name": model_name}

        self.running = self._gauge("num_requests_running", "Requests being worked on.")
        self.waiting = self._gauge("num_requests_waiting", "Requests in the queue.")
        self.kv_usage = self._gauge("kv_cache_usage_perc", "Share of the KV cache in use, 0 to 1.")
        self.prompt_tokens = self._counter("prompt_tokens", "Prompt tokens read.")
        self.generation_tokens = self._counter("generation_tokens", "Tokens generated.")
        self.preemptions = self._counter("num_preemptions", "Requests put back into the queue.")
        self.prefix_queries = self._counter("prefix_cache_queries", "Prompt tokens looked up in the prefix cache.")
        self.cached_tokens = self._counter("prompt_tokens_cached", "Prompt tokens that needed no computing.")
        self.prefix_hits = self._counter("prefix_cache_hits", "Prompt tokens found in the prefix cache.")
        self.first_token_s = self._histogram("time_to_first_token_seconds", FIRST_TOKEN_BUCKETS)
        self.next_token_s = self._histogram("inter_token_latency_seconds", NEXT_TOKEN_BUCKETS)
        self.mean_token_s = self._histogram("request_time_per_output_token_seconds", NEXT_TOKEN_BUCKETS)
        self.total_s = self._histogram("e2e_request_latency_seconds", REQUEST_BUCKETS)
        self.queue_s = self._histogram("request_queue_time_seconds", REQUEST_BUCKETS)
        self.inference_s = self._histogram("request_inference_time_seconds", REQUEST_BUCKETS)
        self.prefill_s = self._histogram("request_prefill_time_seconds", REQUEST_BUCKETS)
        self.decode_s = self._histogram("request_decode_time_seconds", REQUEST_BUCKETS)
        self.request_prompt_tokens = self._histogram("request_prompt_tokens", TOKEN_BUCKETS)
        self.request_generation_tokens = self._histogram("request_generation_tokens", TOKEN_BUCKETS)
        self.request_most_tokens = self._histogram("request_max_num_generation_tokens", TOKEN_BUCKETS)
        self.request_computed_tokens = self._histogram("request_prefill_kv_computed_tokens", TOKEN_BUCKETS)
        self.request_preemptions = self._histogram("request_num_preemptions", PREEMPTION_BUCKETS)
        self.request_n = self._histogram("request_params_n", N_BUCKETS)
        self.iteration_tokens = self._histogram("iteration_tokens_total", STEP_BUCKETS)
        self.request_max_tokens = self._histogram("request_params_max_tokens", TOKEN_BUCKETS)

        finished = Counter(
            "vllm:request_success",
            "Requests that ended, by reason.",
            [*self._labels, "finished_reason"],
            registry=self._registry,
        )
        self.finished = {
            reason: finished.labels(**self._labels, finished_reason=reason) for reason in FINISHED_REASONS
        }
        waiting = Gauge(
            "vllm:num_requests_waiting_by_reason",
            "Requests in the queue, by what they wait for.",
            [*self._labels, "reason"],
            registry=self._registry,
        )
        self.waiting_for = {reason: waiting.labels(**self._labels, reason=reason) for reason in WAITING_REASONS}

        # Not vLLM's own, but of the library it counts its answers with.
        self._answers = Counter(
            "http_requests",
            "Requests answered.",
            ["handler", "method", "status"],
            registry=self._registry,
        )

        labels = {name: str(value) for name, value in cache._asdict().items()}
        info = Gauge(
            "vllm:cache_config_info", "The cache's settings.", ["engine", *labels], registry=self._registry
        )
        info.labels(engine="0", **labels).set(1)

    def answered(self, handler: str, status: int) -> None:
        """Count an answer by its class of status."""
        self._answers.labels(handler, "POST", f"{status // 100}xx").inc()

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"vllm:{name}", meaning, list(self._labels), registry=self._registry).labels(**self._labels)

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(f"vllm:{name}", meaning, list(self._labels), registry=self._registry).labels(**self._labels)

    def _histogram(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        meaning = name.replace("_", " ").capitalize() + "."
        return Histogram(
            f"vllm:{name}", meaning, list(self._labels), buckets=buckets, registry=self._registry
        ).labels(**self._labels)
