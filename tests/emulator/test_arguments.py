"""The emulator is started with vLLM's command line."""

from __future__ import annotations

import pytest

from enova.emulator.arguments import parse
from enova.emulator.timing import ConstantRate


def test_a_model_is_enough_and_the_server_listens_on_loopback() -> None:
    settings = parse(["Qwen/Qwen3-8B"])

    assert settings.names == ("Qwen/Qwen3-8B",)
    assert settings.host == "127.0.0.1"
    assert settings.api_keys == ()


def test_arguments_that_mean_something_to_vllm_only_are_accepted_and_named() -> None:
    settings = parse(
        ["m", "--kv-cache-dtype", "fp8", "--max-num-seqs", "4", "--no-enable-prefix-caching", "--dtype=half"]
    )

    assert settings.max_num_seqs == 4
    assert settings.ignored == ("--kv-cache-dtype", "--no-enable-prefix-caching", "--dtype")


def test_served_names_replace_the_model_and_adapters_are_served_beside_them() -> None:
    settings = parse(["m", "--served-model-name", "a", "b", "--lora-modules", "sql=/adapters/sql"])

    assert settings.names == ("a", "b", "sql")


def test_timing_is_set_by_its_own_arguments() -> None:
    settings = parse(
        ["m", "--emulated-overhead", "0.1", "--emulated-prefill-rate", "5e3", "--emulated-token-time", "0"]
    )

    assert settings.timing == ConstantRate(overhead_s=0.1, prefill_tokens_per_s=5_000, output_token_s=0)


@pytest.mark.parametrize(
    "words",
    [
        ["--port", "8000"],
        ["m", "--emulated-typo", "1"],
        ["m", "--max-num-seqs", "0"],
        ["m", "--emulated-prefill-rate", "0"],
        ["m", "--emulated-token-time", "nan"],
        ["m", "--emulated-overhead", "-1"],
    ],
)
def test_what_cannot_be_served_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(words)

    assert exit_.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_keys_come_from_the_environment_and_are_never_shown() -> None:
    settings = parse(["m"], api_key="s3cret")

    assert settings.api_keys == ("s3cret",)
    assert "s3cret" not in repr(settings)
