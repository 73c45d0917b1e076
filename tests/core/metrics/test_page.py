from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from enova.core.engine.snapshot import GROWING
from enova.core.engine.windows import reading_of
from enova.core.ledger.window import Window, window_of
from enova.core.metrics.page import look_of, snapshots_of
from enova.core.observed import Unknown


def real(name: str) -> str:
    folder = Path(os.environ.get("ENOVA_SHARED", Path(__file__).parents[4] / "shared"))
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


def from_its_start(text: str) -> str:
    """Return the page as the same process had it before any request."""
    return re.sub(r"^(vllm:[^ ]+) .*$", r"\1 0.0", text, flags=re.MULTILINE)


def test_the_latencies_of_a_real_engine_are_histograms_with_all_their_buckets() -> None:
    look = look_of(real("vllm_metrics_0.32_loaded.txt"), 5.0)

    assert sorted(look.histograms) == ["e2e", "itl", "tpot", "ttft"]
    ttft = look.histograms["ttft"]
    assert ttft.count == 1449
    assert ttft.total == pytest.approx(746.94)
    assert ttft.quantile(0.5).low == 0.1
    assert ttft.quantile(0.5).high == 0.25
    assert look.histograms["e2e"].mean == pytest.approx(3526.6156 / 1433)
    assert look.engines == snapshots_of(real("vllm_metrics_0.32_loaded.txt"), 5.0)
    assert look.started_s == pytest.approx(1795333933.07)


def test_what_a_real_engine_did_between_two_looks_adds_up() -> None:
    text = real("vllm_metrics_0.32_loaded.txt")

    window = window_of(look_of(from_its_start(text), 100.0), look_of(text, 220.0))

    assert isinstance(window, Window)
    assert (window.seconds, window.finished) == (120, 1433)
    # 16 are worked on and 14 wait: they came, too.
    assert window.arrived == 1433 + 16 + 14
    assert (window.output_tokens, window.finished_output_tokens) == (103323, 101309)
    assert window.histograms["e2e"].count == window.finished


def test_a_real_engine_that_was_started_anew_between_two_looks_is_noticed() -> None:
    looks = [look_of(real(name), 0.0) for name in ("vllm_metrics_0.32.txt", "vllm_metrics_0.32_loaded.txt")]

    for before, after in (looks, looks[::-1]):
        found = window_of(before, after)
        assert isinstance(found, Unknown)
        assert "started anew" in found.reason


def test_older_names_of_histograms_mean_the_same() -> None:
    text = real("vllm_metrics_0.32.txt")
    old = text.replace("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")

    assert look_of(old, 0.0) == look_of(text, 0.0)


def test_the_engines_behind_an_address_share_their_histograms() -> None:
    text = real("vllm_metrics_0.32.txt")
    other = "\n".join(
        line.replace('engine="0"', 'engine="1"') for line in text.splitlines() if 'engine="0"' in line
    )

    both, one = look_of(f"{text}{other}\n", 0.0), look_of(text, 0.0)

    assert sorted(both.engines) == ["0", "1"]
    assert both.histograms["ttft"] == one.histograms["ttft"] + one.histograms["ttft"]


def test_answers_of_one_token_have_no_time_per_token_though_vllm_counts_them_as_zero() -> None:
    text = real("vllm_metrics_0.32_loaded.txt")
    assert 'vllm:request_generation_tokens_bucket{engine="0",le="1.0",model_name="tiny"} 105.0' in text

    tpot = look_of(text, 0.0).histograms["tpot"]

    assert tpot.count == 1433 - 105
    assert tpot.mean == pytest.approx(36.168 / (1433 - 105), rel=1e-4)


def test_an_engine_that_leaves_these_answers_out_itself_says_the_same() -> None:
    text = real("vllm_metrics_0.32_loaded.txt")
    times = r"^(vllm:request_time_per_output_token_seconds_(?:bucket|count)\S*) (.*)$"
    left_out = re.sub(times, lambda line: f"{line[1]} {float(line[2]) - 105}", text, flags=re.MULTILINE)

    assert look_of(left_out, 0.0) == look_of(text, 0.0)
