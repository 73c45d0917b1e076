"""How long an engine takes until it serves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enova.adapters.facts import gpu_card, model_card
from enova.core.engine.defaults import engine_setup
from enova.core.engine.setup import EngineSetup
from enova.core.engine.start_up import start_up_s


def setup(model: str = "Qwen/Qwen3-32B", gpu: str = "h100-sxm", **changes: int) -> EngineSetup:
    return engine_setup(model_card(model), gpu_card(gpu), **changes)  # type: ignore[arg-type]


def test_it_is_as_measured_where_it_was_measured() -> None:
    """65 s to initialise, 11 s of weights, 33 s to compile, 8 s of graphs."""
    assert start_up_s(setup(tensor_parallel=2)) == pytest.approx(117, rel=0.03)


def test_more_weights_on_a_gpu_take_longer() -> None:
    assert start_up_s(setup(tensor_parallel=1)) > start_up_s(setup(tensor_parallel=4))


def test_nothing_is_compiled_or_captured_eagerly() -> None:
    whole = setup(tensor_parallel=2)

    assert start_up_s(whole) - start_up_s(replace(whole, enforce_eager=True)) == pytest.approx(41)


def test_a_small_model_on_cpus_starts_as_soon_as_it_was_seen_to() -> None:
    small = setup("Qwen/Qwen2.5-0.5B-Instruct", "cpu")

    assert 15 < start_up_s(replace(small, enforce_eager=True)) < 22
