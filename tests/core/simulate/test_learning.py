from __future__ import annotations

import numpy as np
import pytest

from enova.core.engine.calibration import Calibrated, StepCosts
from enova.core.engine.correction import UNCORRECTED, Corrected, Corrections
from enova.core.engine.step_time import Frontend, StepTime
from enova.core.simulate.engine import Engine
from enova.core.simulate.learning import Run, learn
from enova.core.simulate.limits import Limits
from enova.core.workload.request import Request
from tests.core.simulate.tally import Tally

LIMITS = Limits(max_num_seqs=64, max_num_batched_tokens=2048, kv_blocks=20_000)
BASE = Calibrated(
    StepCosts(step_s=8e-3, chunk_s=0.5e-3, sequence_s=60e-6, prompt_token_s=50e-6, pair_s=5e-9, kv_token_s=90e-9)
)
TRUTH = Corrected(BASE, Corrections(added_s=0.5e-3, decode=1.25, context=0.8, prefill=1.5))
FRONTEND = Frontend(before_s=0.01, before_s_per_prompt_token=0.0, after_s=0.002)
SEEN = ("ttft.mean", "ttft.p50", "ttft.p95", "tpot.mean", "tpot.p95", "e2e.mean", "e2e.p95")


def load(rate: float, *, seed: int, longest: int = 1500) -> list[Request]:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1 / rate, 100)).tolist()
    return [
        Request(number, at_s, int(rng.integers(20, longest)), int(rng.integers(10, 300)))
        for number, at_s in enumerate(times)
    ]


def seen_in(requests: list[Request], step_time: StepTime) -> dict[str, float]:
    """Return what users of an engine with these step times see."""
    tally = Tally()
    engine = Engine(LIMITS, step_time, tally, frontend=FRONTEND)
    for request in requests:
        engine.advance(request.arrival_s)
        engine.submit(request, request.arrival_s)
    engine.advance(float("inf"))
    ttfts, latencies = tally.ttfts_s(), tally.latencies_s()
    tpots = (latencies - ttfts) / (np.array([request.output_tokens for request in requests]) - 1)
    columns = {"ttft": ttfts, "tpot": tpots, "e2e": latencies}
    return {
        name: float(values.mean() if name.endswith("mean") else np.percentile(values, int(name[-2:])))
        for name in SEEN
        for values in [columns[name.split(".")[0]]]
    }


def test_what_users_saw_at_one_rate_predicts_other_rates_and_lengths() -> None:
    requests = load(4.0, seed=1)

    found = learn(BASE, LIMITS, [Run(requests, seen_in(requests, TRUTH))], frontend=FRONTEND).step_time()

    for rate, longest in ((1.0, 1500), (7.0, 1500), (8.0, 300)):
        others = load(rate, seed=2, longest=longest)
        predicted, truth = seen_in(others, found), seen_in(others, TRUTH)
        assert predicted == pytest.approx(truth, rel=0.08)
        assert seen_in(others, BASE)["e2e.mean"] < 0.9 * truth["e2e.mean"]


def test_a_source_that_was_right_stays_as_it_is() -> None:
    requests = load(4.0, seed=1)

    found = learn(BASE, LIMITS, [Run(requests, seen_in(requests, BASE))], frontend=FRONTEND)

    assert found.corrections[1:] == pytest.approx(UNCORRECTED[1:], abs=0.05)
    assert found.estimate.scatter < 0.03


def test_without_runs_nothing_is_learnt_and_all_is_as_doubtful_as_before() -> None:
    found = learn(BASE, LIMITS, [], spread=0.3)

    assert found.corrections == pytest.approx(UNCORRECTED, abs=1e-3)
    assert found.standard_errors[1:] == pytest.approx((0.3, 0.3, 0.3), rel=0.01)


@pytest.mark.slow
def test_more_runs_leave_less_doubt() -> None:
    first, second = load(4.0, seed=1), load(1.0, seed=2, longest=300)
    runs = [Run(requests, seen_in(requests, TRUTH)) for requests in (first, second)]

    one, two = (learn(BASE, LIMITS, some, frontend=FRONTEND).standard_errors for some in (runs[:1], runs))

    assert two.prefill < one.prefill < 0.3
    assert two.decode < one.decode < 0.3


def test_a_statistic_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown statistics: ttft\.p42; known are ttft\.mean"):
        learn(BASE, LIMITS, [Run(load(1.0, seed=0), {"ttft.p42": 1.0})])
