"""The emulator is started with vLLM's command line."""

from __future__ import annotations

import pytest

from enova.core.argv import words as as_words
from enova.core.spec.engine import Engine
from enova.emulator.arguments import EXTRA_FLAGS, EXTRA_VALUES, FLAGS, VALUES, parse


def test_a_model_is_enough_and_the_server_listens_on_loopback() -> None:
    settings = parse(["Qwen/Qwen3-8B"])

    assert settings.names == ("Qwen/Qwen3-8B",)
    assert settings.host == "127.0.0.1"
    assert settings.api_keys == ()
    assert (settings.gpu, settings.speed, settings.engine) == (None, 1.0, {})


def test_arguments_that_mean_something_to_vllm_only_are_accepted_and_named() -> None:
    settings = parse(["m", "--tool-call-parser", "hermes", "--max-num-seqs", "4", "--no-enable-log-requests"])

    assert settings.engine == {"max_num_seqs": 4}
    assert settings.ignored == ("--tool-call-parser", "--no-enable-log-requests")


def test_served_names_replace_the_model_and_adapters_are_served_beside_them() -> None:
    settings = parse(["m", "--served-model-name", "a", "b", "--lora-modules", "sql=/adapters/sql"])

    assert settings.names == ("a", "b", "sql")


def test_what_changes_speed_or_memory_is_read_as_it_stands_in_a_spec() -> None:
    written = Engine.model_validate(
        {
            "tensor_parallel_size": 2,
            "max_model_len": "auto",
            "gpu_memory_utilization": 0.8,
            "kv_cache_dtype": "fp8",
            "kv_cache_memory_bytes": "2GiB",
            "enable_prefix_caching": False,
            "enforce_eager": True,
            "speculative_config": {"method": "ngram", "num_speculative_tokens": 4},
            "extra_args": {
                "emulate_gpu": "h100-sxm", "speed": 20, "watermark": 0.01, "scheduler_reserve_full_isl": False,
            },
        }
    )  # fmt: skip

    settings = parse(["m", *as_words(written.args())])

    assert (settings.gpu, settings.speed, settings.ignored) == ("h100-sxm", 20.0, ())
    extra = {"watermark": 0.01, "scheduler_reserve_full_isl": False}
    assert settings.service.engine == written.model_copy(update={"extra_args": extra})


def test_the_arguments_that_are_read_are_those_a_spec_has() -> None:
    assert set(VALUES + FLAGS) <= Engine.model_fields.keys()
    assert not set(EXTRA_VALUES + EXTRA_FLAGS) & Engine.model_fields.keys()


def test_vllms_short_names_and_its_sign_for_whatever_fits_are_known() -> None:
    assert parse(["m", "-tp", "2", "--max-model-len", "-1"]).engine == {
        "tensor_parallel_size": 2,
        "max_model_len": "auto",
    }


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--port", "8000"], "model"),
        (["m", "--emulated-typo", "1"], "--emulated-typo"),
        (["m", "--speedy", "1"], "--speedy"),
        (["m", "--max-num-seqs", "0"], "max_num_seqs must be at least 1"),
        (["m", "--max-num-seqs", "8", "--max-num-batched-tokens", "4"], "max_num_batched_tokens must be at least"),
        (["m", "--speed", "0"], "must be above 0"),
        (["m", "--speed", "nan"], "must be above 0"),
    ],
)
def test_what_cannot_be_served_is_a_usage_error(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(words)

    assert exit_.value.code == 2
    assert complaint in capsys.readouterr().err


def test_keys_come_from_the_environment_and_are_never_shown() -> None:
    settings = parse(["m"], api_key="s3cret")

    assert settings.api_keys == ("s3cret",)
    assert "s3cret" not in repr(settings)


def test_it_can_be_told_to_start_slowly_and_to_crash() -> None:
    settings = parse(["m", "--start-up", "2.5", "--crash-after", "10"])

    assert (settings.start_up_s, settings.crash_after_s) == (2.5, 10.0)
    assert (parse(["m"]).start_up_s, parse(["m"]).crash_after_s) == (0.0, None)


def test_metrics_can_be_made_to_fail_as_rehearsals_need_it() -> None:
    settings = parse(["m", "--metrics-delay", "30", "--metrics-garbage", "--failing", "0.5"])

    assert (settings.metrics_delay_s, settings.metrics_garbage, settings.failing) == (30.0, True, 0.5)
    assert (parse(["m"]).metrics_delay_s, parse(["m"]).metrics_garbage) == (0.0, False)


@pytest.mark.parametrize("option", ["--start-up", "--crash-after", "--metrics-delay"])
@pytest.mark.parametrize("value", ["-1", "inf", "nan", "soon"])
def test_a_time_for_that_has_to_be_one(option: str, value: str) -> None:
    with pytest.raises(SystemExit):
        parse(["m", option, value])
