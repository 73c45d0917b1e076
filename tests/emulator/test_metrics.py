"""The emulated metrics are vLLM's."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from enova.emulator.metrics import Cache, Metrics

REAL = Path(__file__).parent.parent / "data" / "vllm_metrics_0.32.txt"
USED = {
    "num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "prompt_tokens", "generation_tokens",
    "request_success", "time_to_first_token_seconds", "inter_token_latency_seconds",
    "request_time_per_output_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds",
    "request_prefill_time_seconds", "request_decode_time_seconds", "request_inference_time_seconds",
    "request_prompt_tokens", "request_generation_tokens", "cache_config_info", "iteration_tokens_total",
    "num_preemptions", "prefix_cache_queries", "prefix_cache_hits", "prompt_tokens_cached",
}  # fmt: skip


def families(text: str) -> dict[str, Metric]:
    found = {family.name: family for family in text_string_to_metric_families(text)}
    return {name: family for name, family in found.items() if not name.endswith("_created")}


def series(family: Metric) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    """Return the names and labels of a family's samples, buckets and all; not their values."""
    return {
        (sample.name, frozenset(sample.labels.items()))
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


CACHE = Cache(num_gpu_blocks=1360, kv_cache_size_tokens=21_760)
ONE = Metrics(model_name="tiny", cache=CACHE)
ONE.answered("/v1/completions", 200)
EMULATED = families(ONE.text().decode())
VLLM = families(REAL.read_text(encoding="utf-8"))


def test_all_that_enova_reads_of_an_engine_is_there() -> None:
    assert {f"vllm:{name}" for name in USED} <= EMULATED.keys()


@pytest.mark.parametrize("name", sorted(EMULATED))
def test_a_metric_has_the_type_the_labels_and_the_buckets_of_the_real_one(name: str) -> None:
    assert VLLM[name].type == EMULATED[name].type
    if name == "vllm:cache_config_info":
        return
    assert series(VLLM[name]) == series(EMULATED[name])


def test_the_cache_is_described_by_labels_of_the_real_one() -> None:
    labels = EMULATED["vllm:cache_config_info"].samples[0].labels
    real = VLLM["vllm:cache_config_info"].samples[0].labels

    assert labels.keys() <= real.keys()
    assert labels["kv_cache_size_tokens"] == "21760"
    assert int(labels["num_gpu_blocks"]) * int(labels["block_size"]) == 21_760


def test_two_engines_in_one_process_do_not_share_their_metrics() -> None:
    one, other = Metrics(model_name="a", cache=CACHE), Metrics(model_name="a", cache=CACHE)

    one.prompt_tokens.inc(5)

    assert b'vllm:prompt_tokens_total{engine="0",model_name="a"} 0.0' in other.text()
