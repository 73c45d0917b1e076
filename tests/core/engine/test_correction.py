from __future__ import annotations

import numpy as np
import pytest

from enova.core.engine.calibration import Calibrated, Observation, StepCosts, Work, decode_work, prefill_work
from enova.core.engine.correction import UNCORRECTED, Corrected, Corrections, correct
from enova.core.engine.step_time import Chunk, Origin, StepTime
from enova.core.engine.windows import reading_of
from tests.core.engine.scraped import poisson, scraped
from tests.core.simulate.step_times import Affine

BASE = Calibrated(
    StepCosts(step_s=8e-3, chunk_s=0.5e-3, sequence_s=30e-6, prompt_token_s=50e-6, pair_s=5e-9, kv_token_s=90e-9)
)
TRUE = Corrections(added_s=1e-3, decode=1.2, context=0.7, prefill=1.6)
WINDOWED = Affine(
    base_s=5e-3, per_chunk_token_s=1e-5, per_decode_s=1e-4, per_kv_token_s=1e-7, per_window_token_s=3e-7,
    window_tokens=128, knot_tokens=1000.0, knot_share=0.5,
)  # fmt: skip


def time_of(source: StepTime, work: Work) -> float:
    """Return the time of steps that are all alike."""
    decodes, kv_tokens = round(work.sequences / work.steps), work.kv_tokens / work.steps
    chunks = [Chunk(round(work.prompt_tokens), 0, last=True)] if work.chunks else []
    return work.steps * source.step_s(chunks, decodes, kv_tokens, 0.0)


def test_known_corrections_are_found_again() -> None:
    works = [decode_work(batch, context) for batch in (1, 8, 64) for context in (100, 2000, 8000)]
    works += [prefill_work(tokens) for tokens in (64, 512, 4096)]

    found = correct(BASE, [Observation(work, time_of(Corrected(BASE, TRUE), work)) for work in works], spread=1.0)

    for work in works:
        assert time_of(found.step_time(), work) == pytest.approx(time_of(Corrected(BASE, TRUE), work), rel=0.02)
    assert found.corrections.prefill == pytest.approx(TRUE.prefill, rel=0.05)
    assert found.corrections.context == pytest.approx(TRUE.context, rel=0.05)


def test_a_few_minutes_of_metrics_correct_a_source_that_was_wrong() -> None:
    true = Corrected(BASE, TRUE)
    reading = reading_of(scraped(poisson(5.0, 100), true, every_s=1.0))

    found = correct(BASE, reading.observations).step_time()

    for chunks, decodes, kv_tokens in (([], 8, 6000.0), ([Chunk(800, 0, last=True)], 4, 3000.0)):
        wanted = true.step_s(chunks, decodes, kv_tokens, 0.0)
        assert BASE.step_s(chunks, decodes, kv_tokens, 0.0) < 0.85 * wanted
        assert found.step_s(chunks, decodes, kv_tokens, 0.0) == pytest.approx(wanted, rel=0.05)


def test_without_measurements_a_source_stays_as_it_is_and_as_doubtful() -> None:
    found = correct(BASE, [], spread=0.3)

    assert found.corrections == pytest.approx(UNCORRECTED, abs=1e-6)
    assert found.standard_errors[1:] == pytest.approx((0.3, 0.3, 0.3))


def test_what_was_not_measured_is_not_corrected() -> None:
    decodes = [
        Observation(decode_work(4, context), 2 * time_of(BASE, decode_work(4, context))) for context in (9, 99)
    ]

    found = correct(BASE, decodes)

    assert found.corrections.prefill == pytest.approx(1.0)
    assert found.corrections.decode > 1.3


@pytest.mark.parametrize("decodes", [1, 7])
@pytest.mark.parametrize("kv_tokens", [10.0, 1500.0, 99_000.0])
def test_without_chunks_a_step_is_what_the_line_says_to_the_last_bit(decodes: int, kv_tokens: float) -> None:
    source = Corrected(WINDOWED, TRUE)
    line = source.decode_line(decodes, kv_tokens, 5.0)

    on_line = line.base_s + line.per_kv_token_s * kv_tokens + line.per_window_token_s * 5.0
    assert source.step_s([], decodes, kv_tokens, 5.0) == on_line
    assert line[3:] == WINDOWED.decode_line(decodes, kv_tokens, 5.0)[3:]


def test_a_correction_of_nothing_changes_nothing() -> None:
    source = Corrected(WINDOWED, UNCORRECTED)
    chunks = [Chunk(300, 20, last=True), Chunk(7, 0, last=False)]

    assert source.origin is Origin.CALIBRATED
    assert source.window_tokens == 128
    for step in (([], 3, 5000.0, 300.0), (chunks, 3, 5000.0, 300.0), (chunks, 0, 0.0, 0.0)):
        assert source.step_s(*step) == pytest.approx(WINDOWED.step_s(*step))


def test_draws_are_sources_that_may_as_well_be_true() -> None:
    draws = correct(BASE, [], spread=0.1).draws(np.random.default_rng(0), 500)

    factors = np.array([draw.corrections.prefill for draw in draws])
    assert factors.mean() == pytest.approx(1.0, abs=0.02)
    assert factors.std() == pytest.approx(0.1, rel=0.15)
