"""Counted in rounds, a pipeline of stages comes to what it does when its batches are followed one by one."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_card, model_card
from enova.core.engine.defaults import engine_setup
from enova.core.engine.roofline import step_time_of
from enova.core.engine.setup import EngineSetup
from enova.core.simulate.engine import Engine
from enova.core.simulate.limits_of import limits_of
from enova.core.workload.request import Request
from tests.core.simulate.plain_pipeline import Pipeline
from tests.core.simulate.tally import Tally


def llama_70b(stages: int) -> EngineSetup:
    model, gpu = model_card("meta-llama/Llama-3.1-70B-Instruct"), gpu_card("h200-sxm")
    return engine_setup(model, gpu, tensor_parallel=2, pipeline_parallel=stages, max_model_len=8192)


def random_load(rate: float, prompt_tokens: int, output_tokens: int) -> list[Request]:
    times = np.cumsum(np.random.default_rng(1).exponential(1 / rate, 400)).tolist()
    return [Request(number, at_s, prompt_tokens, output_tokens) for number, at_s in enumerate(times)]


def by_batch(requests: list[Request]) -> tuple[float, float, float]:
    """Return the median TTFT, the mean TPOT and when all was done."""
    alone = llama_70b(1)
    pipeline = Pipeline(step_time_of(alone, measured_curves()), 2, alone.max_num_batched_tokens)
    rows = [
        (one.request.arrival_s, one.first_token_s, one.finished_s, one.request.output_tokens)
        for one in pipeline.serve(requests)
    ]
    return figures(rows)


def by_round(requests: list[Request]) -> tuple[float, float, float]:
    staged, tally = llama_70b(2), Tally()
    engine = Engine(limits_of(staged), step_time_of(staged, measured_curves()), tally)
    for request in requests:
        engine.advance(request.arrival_s)
        engine.submit(request, request.arrival_s)
    engine.advance(inf)
    rows = [(a.request.arrival_s, a.first_token_s, a.finished_s, a.request.output_tokens) for a in tally.answers]
    return figures(rows)


def figures(rows: list[tuple[float, float, float, int]]) -> tuple[float, float, float]:
    sent, first, last, tokens = np.array(rows).T
    return float(np.median(first - sent)), float(np.mean((last - first) / (tokens - 1))), float(last.max())


@pytest.mark.parametrize(
    ("rate", "prompt_tokens", "output_tokens"),
    [(1.0, 1000, 200), (3.0, 1000, 200), (0.8, 4000, 200), (4.0, 1000, 20), (6.0, 200, 400)],
)
def test_rounds_come_to_what_batches_do(rate: float, prompt_tokens: int, output_tokens: int) -> None:
    requests = random_load(rate, prompt_tokens, output_tokens)
    ttft_s, tpot_s, done_s = by_round(requests)
    expected_ttft_s, expected_tpot_s, expected_done_s = by_batch(requests)

    assert ttft_s == pytest.approx(expected_ttft_s, rel=0.15)
    assert tpot_s == pytest.approx(expected_tpot_s, rel=0.1)
    assert done_s == pytest.approx(expected_done_s, rel=0.01)


@pytest.mark.parametrize(("prompt_tokens", "output_tokens"), [(1000, 200), (4000, 50), (500, 400)])
def test_what_can_be_served_at_all_is_the_same(prompt_tokens: int, output_tokens: int) -> None:
    requests = random_load(1e6, prompt_tokens, output_tokens)[:256]

    assert by_round(requests)[2] == pytest.approx(by_batch(requests)[2], rel=0.1)
