"""What an emulated engine stands in for is what a forecast would say of the same arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_card, model_card
from enova.core.engine.defaults import engine_setup
from enova.core.engine.numbers import Numbers
from enova.core.engine.step_time import Chunk
from enova.core.simulate.forecast import replica_of
from enova.emulator.arguments import Settings
from enova.emulator.emulated import SMALL_CONFIG, emulated
from enova.errors import CannotModel

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
A_STEP = ([Chunk(700, 100, True)], 12, 12_000.0, 0.0)


def settings(model: str = LLAMA, gpu: str | None = "h100-sxm", **engine: object) -> Settings:
    return Settings(model=model, gpu=gpu, engine=engine)


def test_a_known_model_on_a_gpu_is_as_fast_and_has_as_many_blocks_as_in_a_forecast() -> None:
    one = emulated(settings(max_num_seqs=64, kv_cache_dtype="fp8", max_model_len=8192))

    setup = engine_setup(
        model_card(LLAMA), gpu_card("h100-sxm"), max_num_seqs=64, kv_cache=Numbers.FP8, max_model_len=8192
    )
    forecast = replica_of(setup, measured_curves())
    assert (one.limits, one.frontend) == (forecast.limits, forecast.frontend)
    assert one.step_time.step_s(*A_STEP) == forecast.step_time.step_s(*A_STEP)
    assert one.max_model_len == 8192
    assert "Llama-3.1-8B-Instruct on h100-sxm, 64 sequences" in one.says


def test_more_gpus_make_it_faster() -> None:
    alone, two = emulated(settings()), emulated(settings(tensor_parallel_size=2))

    assert two.step_time.step_s(*A_STEP) < alone.step_time.step_s(*A_STEP)
    assert two.limits.kv_blocks > alone.limits.kv_blocks
    assert "on 2 x h100-sxm" in two.says


def test_a_model_in_a_folder_needs_no_facts(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL_CONFIG | {"num_hidden_layers": 48}))

    one = emulated(settings(str(tmp_path)))

    assert one.says.startswith(f"{tmp_path} on h100-sxm")


def test_without_a_gpu_it_is_a_small_engine_with_a_token_every_few_milliseconds() -> None:
    one = emulated(settings("acme/anything", gpu=None))

    assert 0.002 < one.step_time.step_s([], 1, 100, 0) < 0.008
    assert (one.limits.max_num_seqs, one.max_model_len) == (256, 32_768)
    assert "a small model on l4" in one.says


def test_a_model_nobody_knows_is_a_small_one_on_the_gpu_that_was_asked_for() -> None:
    one = emulated(settings("acme/unheard-of"))

    assert "no model acme/unheard-of was found" in one.says
    assert "a small model on h100-sxm" in one.says


@pytest.mark.parametrize(
    "engine",
    [
        {"max_model_len": 1_000_000, "gpu_memory_utilization": 0.1},
        {"kv_cache_memory_bytes": 1024},
        {"tensor_parallel_size": 3, "num_gpu_blocks_override": 1},
        {"max_model_len": "auto", "gpu_memory_utilization": 0.01},
        {"speculative_config": {"method": "ngram", "num_speculative_tokens": 5}, "num_gpu_blocks_override": 1},
    ],
)
def test_the_small_engine_starts_with_any_arguments_and_serves_any_length_it_says_it_does(
    engine: dict[str, object],
) -> None:
    one = emulated(Settings(model="acme/anything", engine=engine))

    assert one.max_model_len == one.limits.max_model_len >= 1


def test_what_would_not_start_does_not_start_here_either() -> None:
    with pytest.raises(CannotModel, match=r"Llama-3\.1-8B-Instruct does not start on t4") as refusal:
        emulated(settings(gpu="t4"))

    assert refusal.value.hint is None or refusal.value.hint.startswith("try ")


def test_a_gpu_nobody_knows_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(CannotModel, match="no GPU is called h100-sxn") as refusal:
        emulated(settings(gpu="h100-sxn"))

    assert refusal.value.hint == "did you mean h100-sxm?"
