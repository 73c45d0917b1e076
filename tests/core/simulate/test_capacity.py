"""The capacity found is the one that can be reckoned by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from enova.core.engine.step_time import Origin
from enova.core.simulate.capacity import TOLERANCE, Capacity, capacity_of
from enova.core.simulate.forecast import Conditions, run_of
from enova.core.simulate.limits import Limits
from enova.core.simulate.promises import Promise
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.results import NO_ERROR, Factors, Metric, ModelError
from enova.core.workload.rates import at_rate
from enova.errors import UsageError
from tests.core.simulate.step_times import Affine
from tests.core.simulate.test_forecast import load

FIXED = {"distribution": "fixed", "tokens": 50}
LIMITS = Limits(max_num_seqs=8, max_num_batched_tokens=4096, kv_blocks=2000)
EIGHT_AT_A_TIME = ReplicaSetup(limits=LIMITS, step_time=Affine(base_s=0.02))
"""8 sequences, each of 50 steps of 20 ms: 8 requests/s, and never more."""
FEW = Conditions(requests=800)


def test_what_can_be_served_at_all_is_what_the_batch_allows() -> None:
    one, three = (capacity_of([EIGHT_AT_A_TIME] * n, load(output_tokens=FIXED), FEW) for n in (1, 3))

    assert one.rate.value == one.saturated == pytest.approx(8, rel=0.02)
    assert three.saturated == pytest.approx(24, rel=0.02)


@cache
def within(target_s: float, error: Factors = NO_ERROR) -> Capacity:
    """Return the capacity if 95 % of first tokens are to come within so many seconds."""
    known = ModelError({(Origin.ROOFLINE, "ttft"): error})
    conditions = Conditions(promises=(Promise(Metric.TTFT, "p95", target_s),), error=known, requests=800)
    return capacity_of([EIGHT_AT_A_TIME], load(output_tokens=FIXED), conditions)


@pytest.mark.slow
def test_a_promise_that_is_hard_to_keep_costs_capacity() -> None:
    assert 8 > within(0.2).rate.value > 2
    assert within(0.01).rate.value == 0.0


def test_at_capacity_the_promise_is_kept_and_a_bit_above_it_is_not() -> None:
    found = within(0.2)
    kept = [rate for rate, results in found.tried if results.of("ttft", "p95").value <= 0.2]
    above = [rate for rate, _ in found.tried if rate > found.rate.value]

    assert max(kept) == found.rate.value
    assert min(above) <= found.rate.value * (1 + TOLERANCE)
    assert found.first_broken == (Promise(Metric.TTFT, "p95", 0.2),)
    assert found.rate.band.low < found.rate.value <= found.rate.band.high


@pytest.mark.slow
def test_the_error_of_the_model_widens_the_band_of_capacity() -> None:
    sure, unsure = within(0.2).rate, within(0.2, Factors(0.3, 3.0)).rate

    assert sure.value == unsure.value
    assert unsure.band.low < sure.band.low
    assert unsure.band.high > sure.band.high


def test_what_can_be_served_at_all_is_as_uncertain_as_the_model() -> None:
    error = ModelError({(Origin.ROOFLINE, "throughput"): Factors(0.8, 1.25)})
    found = capacity_of([EIGHT_AT_A_TIME], load(output_tokens=FIXED), replace(FEW, error=error)).rate

    assert found.band == pytest.approx((0.8 * found.value, 1.25 * found.value, 0.9))


def test_a_closed_loop_has_no_rate_to_search_for() -> None:
    with pytest.raises(UsageError, match="the rate cannot be set: users wait"):
        capacity_of([EIGHT_AT_A_TIME], load(arrival={"process": "closed_loop", "users": 3}))


def test_the_same_requests_come_at_another_rate() -> None:
    slow, fast = (list(at_rate(load(), rate).requests(100)) for rate in (1.0, 10.0))

    assert [request.prompt_tokens for request in slow] == [request.prompt_tokens for request in fast]
    assert [request.arrival_s for request in slow] == pytest.approx([10 * request.arrival_s for request in fast])
    assert run_of([EIGHT_AT_A_TIME], at_rate(load(), 2.0), Conditions(requests=400)).requests_per_s.value == (
        pytest.approx(2, rel=0.1)
    )
