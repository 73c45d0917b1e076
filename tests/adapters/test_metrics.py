from __future__ import annotations

import os
from pathlib import Path

import pytest

from enova.adapters.metrics import HttpMetrics, snapshots_of
from enova.core.engine.snapshot import GROWING
from enova.core.engine.windows import reading_of
from enova.errors import ObserveError


def real(name: str) -> str:
    folder = Path(os.environ.get("ENOVA_SHARED", Path(__file__).parents[3] / "shared"))
    assert folder.is_dir(), f"{folder} is missing: set ENOVA_SHARED"
    return (folder / "reference" / name).read_text(encoding="utf-8")


def test_all_that_a_calibration_takes_is_in_a_real_engines_metrics() -> None:
    snapshots = snapshots_of(real("vllm_metrics_0.32.txt"), at_s=5.0)

    assert list(snapshots) == ["0"]
    snapshot = snapshots["0"]
    assert snapshot.lacks(*GROWING) == []
    assert snapshot.at_s == 5.0
    assert snapshot.steps == 22063
    assert snapshot.prompt_tokens == 323404
    assert snapshot.gaps_s == pytest.approx(2833.78264)
    assert snapshot.kv_tokens_capacity == 21760
    assert snapshot.answers == 1574
    assert snapshot.answers_s == pytest.approx(3501.51719)


def test_the_counters_of_a_real_engine_under_load_agree_with_its_gauges() -> None:
    snapshot = snapshots_of(real("vllm_metrics_0.32_loaded.txt"), at_s=0.0)["0"]

    assert snapshot.running == snapshot.decoding == 16
    assert snapshot.waiting == 14
    assert snapshot.kv_usage is not None
    assert snapshot.kv_tokens_capacity is not None
    # The gauge counts whole blocks, of 128 tokens here.
    blocks = snapshot.kv_usage * snapshot.kv_tokens_capacity
    assert blocks - 16 * 128 <= snapshot.context_tokens <= blocks


def test_older_names_mean_the_same() -> None:
    text = real("vllm_metrics_0.32.txt")
    old = (
        text.replace("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")
        .replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
        .replace("vllm:prompt_tokens_cached_total", "vllm:something_else")
        .replace("kv_cache_size_tokens=", "no_longer=")
    )
    assert snapshots_of(old, at_s=0.0) == snapshots_of(text, at_s=0.0)


def test_what_is_not_offered_is_unknown_and_not_zero() -> None:
    text = real("vllm_metrics_0.32.txt").replace("vllm:iteration_tokens_total", "vllm:something_else")

    snapshot = snapshots_of(text, at_s=0.0)["0"]

    assert snapshot.steps is None
    assert reading_of([snapshot, snapshot]).unknown == ("steps",)


def test_every_engine_behind_an_address_has_a_snapshot_of_its_own() -> None:
    text = real("vllm_metrics_0.32.txt")
    other = [line.replace('engine="0"', 'engine="1"') for line in text.splitlines() if 'engine="0"' in line]

    snapshots = snapshots_of(text + "\n".join(other) + "\n", at_s=0.0)

    assert list(snapshots) == ["0", "1"]
    assert snapshots["0"].steps == snapshots["1"].steps == 22063
    # Whose the answers were, the server does not say.
    assert snapshots["0"].answers is None


def test_a_server_that_does_not_answer_is_an_observation_that_failed() -> None:
    metrics = HttpMetrics("http://127.0.0.1:9", timeout_s=0.5)

    with pytest.raises(ObserveError, match="could not be read"):
        metrics.read()
    metrics.close()
