"""How long the emulated engine takes."""

from __future__ import annotations

import pytest

from enova.emulator.timing import ConstantRate


def test_the_first_token_takes_the_overhead_and_the_time_to_read_the_prompt() -> None:
    rate = ConstantRate(overhead_s=0.02, prefill_tokens_per_s=20_000)

    assert rate.first_token_s(1_000) == pytest.approx(0.07)


def test_the_other_tokens_take_the_same_time_each() -> None:
    assert ConstantRate(output_token_s=0.008).next_token_s() == 0.008
