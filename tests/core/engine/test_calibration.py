from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from enova.core.engine.calibration import (
    Calibrated,
    Observation,
    Prior,
    StepCosts,
    Work,
    calibrate,
    costs_like,
    decode_work,
    prefill_work,
)
from enova.core.engine.step_time import Chunk, Origin

TRUTH = StepCosts(
    step_s=11e-3, chunk_s=5e-3, sequence_s=0.2e-3, prompt_token_s=0.4e-3, pair_s=0.3e-6, kv_token_s=3e-6
)


def shared() -> Path:
    folder = Path(os.environ.get("ENOVA_SHARED", Path(__file__).parents[4] / "shared"))
    assert folder.is_dir(), f"{folder} is missing: set ENOVA_SHARED"
    return folder


def works() -> list[Work]:
    """Return prompts alone, decodes alone, and steps that have both."""
    alone = [prefill_work(tokens) for tokens in (8, 64, 128, 256, 512, 1024, 2000)]
    decodes = [decode_work(batch, context, 50) for batch in (1, 2, 4, 8, 16) for context in (64, 500, 1500)]
    both = [Work(20, 2, 20 * batch, 600, 100_000, 20 * batch * 400) for batch in (2, 6, 12)]
    return [*alone, *decodes, *both]


def measured(rng: np.random.Generator, *, noise: float, rows: Sequence[Work] | None = None) -> list[Observation]:
    return [
        Observation(work, TRUTH.seconds(work) * float(np.exp(rng.normal(0, noise)))) for work in rows or works()
    ]


def test_exact_times_give_the_costs_back() -> None:
    found = calibrate([Observation(work, TRUTH.seconds(work)) for work in works()])

    assert found.costs == pytest.approx(TRUTH, rel=0.02)
    assert found.scatter < 0.03


def test_noise_and_outliers_hardly_move_the_costs() -> None:
    rng = np.random.default_rng(3)
    rows = measured(rng, noise=0.05, rows=works() * 4)
    for place in rng.choice(len(rows), len(rows) // 12, replace=False):
        rows[place] = rows[place]._replace(seconds=rows[place].seconds * 5)

    found = calibrate(rows)

    for work in works():
        assert found.predict(work)[0] == pytest.approx(TRUTH.seconds(work), rel=0.12)


def test_bands_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    inside = []
    for _ in range(40):
        found = calibrate(measured(rng, noise=0.1, rows=works() * 2))
        for work in works():
            mean_s, error_s = found.predict(work)
            inside.append(abs(mean_s - TRUTH.seconds(work)) <= 1.645 * error_s)

    assert 0.85 <= np.mean(inside) <= 0.99


def test_spells_that_last_make_the_bands_wider_than_noise_that_does_not() -> None:
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.1, 600)
    spells = np.convolve(rng.normal(0, 0.1 / np.sqrt(20), 619), np.ones(20), "valid")
    work = decode_work(4, 500, 50)

    def error_s(factors: np.ndarray) -> float:
        rows = [Observation(work, TRUTH.seconds(work) * float(np.exp(factor))) for factor in factors]
        return calibrate(rows, Prior(TRUTH, 0.5)).predict(work)[1]

    assert error_s(spells) > 2 * error_s(noise)


def test_with_nothing_measured_the_prior_is_the_answer_with_all_its_doubt() -> None:
    found = calibrate([], Prior(TRUTH, 0.4))

    assert found.costs == pytest.approx(TRUTH, rel=1e-3)
    assert found.standard_errors == pytest.approx([0.4 * cost for cost in TRUTH], rel=1e-3)


def test_measuring_decodes_alone_leaves_the_cost_of_prompts_to_the_prior() -> None:
    twice = StepCosts(*(2 * cost for cost in TRUTH))
    rows = [Observation(work, TRUTH.seconds(work)) for work in works() if not work.chunks]

    found = calibrate(rows, Prior(twice, 0.5))

    assert found.predict(decode_work(6, 700))[0] == pytest.approx(TRUTH.seconds(decode_work(6, 700)), rel=0.03)
    assert found.costs.prompt_token_s == pytest.approx(twice.prompt_token_s, rel=0.01)
    assert found.standard_errors.prompt_token_s == pytest.approx(0.5 * twice.prompt_token_s, rel=0.01)


def test_no_cost_is_ever_negative() -> None:
    # Larger batches faster than small ones: no honest model explains that.
    rows = [Observation(decode_work(batch, 100), 0.1 / batch) for batch in (1, 2, 4, 8, 16)]

    found = calibrate(rows)

    assert min(found.costs) >= 0
    assert all(min(draw.costs) >= 0 for draw in found.draws(np.random.default_rng(0), 50))


def test_draws_scatter_as_the_standard_errors_say() -> None:
    found = calibrate([], Prior(TRUTH, 0.1))

    draws = np.array([draw.costs for draw in found.draws(np.random.default_rng(1), 2000)])

    assert draws.mean(axis=0) == pytest.approx(np.array(TRUTH), rel=0.02)
    assert draws.std(axis=0) == pytest.approx(0.1 * np.array(TRUTH), rel=0.1)


def test_a_calibrated_step_is_the_sum_of_its_parts() -> None:
    step_time = Calibrated(TRUTH)
    chunks = [Chunk(100, 0, last=True), Chunk(50, 200, last=False)]

    assert step_time.origin is Origin.CALIBRATED
    assert step_time.step_s(chunks, 3, 1000.0, 0.0) == pytest.approx(
        11e-3 + 3 * 0.2e-3 + 1000 * 3e-6 + 2 * 5e-3 + 150 * 0.4e-3 + 0.3e-6 * (5050 + 50 * 200 + 1275)
    )


@pytest.mark.parametrize(("decodes", "kv_tokens"), [(1, 1.0), (3, 977.0), (255, 1_234_567.0)])
def test_without_chunks_a_step_is_what_the_line_says_to_the_last_bit(decodes: int, kv_tokens: float) -> None:
    step_time = Calibrated(TRUTH)
    line = step_time.decode_line(decodes, kv_tokens, 0.0)

    assert step_time.step_s([], decodes, kv_tokens, 0.0) == line.base_s + line.per_kv_token_s * kv_tokens


def test_another_source_of_the_same_form_is_described_by_its_own_coefficients() -> None:
    like = costs_like(Calibrated(TRUTH), most_sequences=64)

    for work in works():
        assert like.seconds(work) == pytest.approx(TRUTH.seconds(work), rel=0.05)


@pytest.mark.parametrize("model", ["tiny", "small"])
def test_the_form_describes_a_real_engine_on_a_cpu(model: str) -> None:
    """Prompts of 8 to 1,900 tokens and batches of 1 to 16, measured one by one on real vLLM."""
    file = shared() / "data" / "serving_latency" / "vllm_cpu" / f"calib_{model}.csv"
    with file.open(encoding="utf-8") as lines:
        points = [point(row) for row in csv.DictReader(lines)]

    found = calibrate(points)

    errors = [found.predict(row.work)[0] / row.seconds - 1 for row in points]
    assert len(errors) == 17
    # The points themselves repeat within 20 %.
    assert np.median(np.abs(errors)) < 0.08
    assert np.quantile(np.abs(errors), 0.8) < 0.15


def point(row: dict[str, str]) -> Observation:
    tokens, batch, seconds = int(row["n_in"]), int(row["batch"]), float(row["engine_ms"]) / 1e3
    if row["kind"] == "prefill":
        return Observation(prefill_work(tokens), seconds)
    steps = int(row["n_out"]) - 1
    return Observation(decode_work(batch, tokens + steps / 2, steps), seconds * steps)
