"""What vLLM and vllm-router call what they count, by version: renames are data here and nowhere else.

A name holds from the version `since` on and up to `until`, inclusive; empty: to this day (0.32). Read from the
sources of vLLM 0.6.0, 0.6.6, 0.8.5, 0.9.2, 0.11.2, 0.17.0 and 0.25.0, and from pages of 0.32. Of versions that
have two engines, all that either of them offers counts.
"""

from __future__ import annotations

from typing import NamedTuple


class Name(NamedTuple):
    """One name, as it stands in the text of a page."""

    text: str
    since: str = "0.6"
    until: str = ""


NAMES: dict[str, tuple[Name, ...]] = {
    "running": (Name("vllm:num_requests_running"),),
    "waiting": (Name("vllm:num_requests_waiting"),),
    # A share of 1, whatever its name says.
    "kv_usage": (
        Name("vllm:kv_cache_usage_perc", since="0.9"),
        Name("vllm:gpu_cache_usage_perc", until="0.11"),
    ),
    "steps": (Name("vllm:iteration_tokens_total_count", since="0.6.6"),),
    "prompt_tokens": (Name("vllm:prompt_tokens_total"),),
    "cached_tokens": (
        Name("vllm:prompt_tokens_cached_total", since="0.17"),
        Name("vllm:prefix_cache_hits_total", since="0.9"),
    ),
    "output_tokens": (Name("vllm:generation_tokens_total"),),
    "first_tokens": (Name("vllm:time_to_first_token_seconds_count"),),
    # request_time_per_output_token_seconds is something else: one mean a request.
    "gaps": (
        Name("vllm:inter_token_latency_seconds_count", since="0.11"),
        Name("vllm:time_per_output_token_seconds_count", until="0.11"),
    ),
    "gaps_s": (
        Name("vllm:inter_token_latency_seconds_sum", since="0.11"),
        Name("vllm:time_per_output_token_seconds_sum", until="0.11"),
    ),
    "finished": (Name("vllm:e2e_request_latency_seconds_count"),),
    "finished_prompt_tokens": (Name("vllm:request_prompt_tokens_sum"),),
    "finished_output_tokens": (Name("vllm:request_generation_tokens_sum"),),
    "latency_s": (Name("vllm:e2e_request_latency_seconds_sum"),),
    "queue_s": (Name("vllm:request_queue_time_seconds_sum", since="0.6.6"),),
    "prefill_s": (Name("vllm:request_prefill_time_seconds_sum", since="0.6.6"),),
    "decode_s": (Name("vllm:request_decode_time_seconds_sum", since="0.6.6"),),
    "preemptions": (Name("vllm:num_preemptions_total"),),
}
"""What the fields of a snapshot are called, newest name first."""
HISTOGRAMS: dict[str, tuple[Name, ...]] = {
    "e2e": (Name("vllm:e2e_request_latency_seconds"),),
    "itl": (
        Name("vllm:inter_token_latency_seconds", since="0.11"),
        Name("vllm:time_per_output_token_seconds", until="0.11"),
    ),
    # One mean a request.
    "tpot": (Name("vllm:request_time_per_output_token_seconds", since="0.11"),),
    "ttft": (Name("vllm:time_to_first_token_seconds"),),
}
"""What the latencies of requests are called, in seconds, newest name first.

Not request_queue_time_seconds: it begins when the scheduler sees a request, which is only between steps, and so
leaves out most of what a forecast calls queueing.
"""
NEVER: dict[str, str] = {
    "vllm:gpu_prefix_cache_hits_total": "counted blocks in 0.8 and tokens since 0.9, and no page says which",
    "vllm:gpu_prefix_cache_hit_rate": "is a mean over the last queries, not a counter",
    "vllm:time_in_queue_requests": "is request_queue_time_seconds under its first name, beside it until 0.8",
    "vllm:model_forward_time_milliseconds": "is in milliseconds, of steps, and was dropped in 0.9",
    "vllm:model_execute_time_milliseconds": "is in milliseconds, of steps, and was dropped in 0.9",
    "vllm:avg_prompt_throughput_toks_per_s": "is a mean over some time of its own, and was dropped in 0.8",
    "vllm:avg_generation_throughput_toks_per_s": "is a mean over some time of its own, and was dropped in 0.8",
}
"""Names whose meaning or unit changed, or is none that could be added up: not read, and why."""

LENGTHS = "vllm:request_generation_tokens"
STARTED = "process_start_time_seconds"
ANSWERS = "http_request_duration_seconds"
STATUSES = "http_requests_total"
"""Answers by class of status: `5xx`. A server that has answered with no error yet has no such line."""
COMPLETIONS = frozenset({"/v1/completions", "/v1/chat/completions", "/v1/responses"})
CACHE = "vllm:cache_config_info"

ROUTER_ATTEMPTS = "vllm_router_processed_requests_total"
"""By worker: requests handed to it, counted when they are handed on, retries included (vllm-router 0.1.17)."""
ROUTER_RETRIES = "vllm_router_retries_total"
"""Counted when the pause before the next attempt begins."""
ROUTER_ERRORS = "vllm_router_request_errors_total"
"""By `error_type`."""
NO_WORKER = "no_available_workers"
"""The type of error of an attempt that found nobody to hand the request to."""
ROUTER_ANSWERED = "vllm_router_requests_total"
"""Requests answered with success, counted when the answer begins. Those in flight and those that failed are not
in it, so that it is no measure of demand."""
ROUTER_WORKERS = "vllm_router_active_workers"
"""There is a router as soon as this is there: what it counts has no line before the first request."""
