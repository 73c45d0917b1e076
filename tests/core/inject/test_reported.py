"""A report has what was measured beside what was promised and predicted, and only numbers."""

from __future__ import annotations

import json

import pytest

from enova.core.inject.outcome import Failure
from enova.core.inject.reported import report_of
from enova.core.inject.tally import Tally
from enova.core.simulate.forecast import Conditions, run_of
from enova.core.workload.report import InjectionReport
from tests.core.inject.runs import PROMISES, answered, batch, failed, job, load, report
from tests.core.simulate.test_capacity import EIGHT_AT_A_TIME


def test_latencies_from_the_send_and_from_the_schedule_have_their_own_places() -> None:
    found = report(lag_s=0.05).found

    assert found.from_schedule is not None
    assert found.ttft.p50 == pytest.approx(0.10, rel=0.005)
    assert found.from_schedule.ttft.p50 == pytest.approx(0.15, rel=0.005)
    assert found.itl.p50 == pytest.approx(0.02, rel=0.005)
    assert set(found.ttft.ends) == {"mean", "p50", "p90", "p95", "p99", "p99_9"}


def test_promises_are_judged_from_the_schedule() -> None:
    ttft, tpot = report(lag_s=0.05, ttft_s=0.16).slo

    # From the send it were 160 ms, which is less than the 200 ms promised.
    assert (ttft.metric, ttft.kept) == ("ttft", False)
    assert ttft.measured == pytest.approx(0.21, rel=0.005)
    assert (tpot.metric, tpot.kept) == ("tpot", True)
    assert tpot.measured == pytest.approx(0.02, rel=0.005)


@pytest.mark.parametrize(("target", "kept"), [(0.9, True), (0.95, False)])
def test_availability_is_the_share_that_was_answered(target: float, kept: bool) -> None:
    conditions = Conditions(availability=target)
    tally = Tally(load(), conditions)
    tally.add(batch(failed(one) if one.number < 10 else answered(one) for one in load().requests()))

    [promise] = made(tally, conditions).slo

    assert (promise.metric, promise.measured, promise.kept) == ("availability", 0.9, kept)


def test_a_report_is_read_as_it_was_written() -> None:
    whole = report()

    assert InjectionReport.model_validate_json(whole.model_dump_json(exclude_none=True)) == whole
    assert whole.schema_version == 2


def test_where_nothing_was_answered_there_are_no_figures_and_no_promise_is_kept() -> None:
    conditions = Conditions(promises=PROMISES)
    tally = Tally(load(), conditions)
    tally.add(batch(failed(one, Failure.REFUSED) for one in load().requests()))

    found = made(tally, conditions)

    assert (found.valid, found.keeps) == (False, False)
    assert found.found.errors == {"refused": 100}
    assert found.found.ttft.figures() == {}
    # Not a number is no JSON.
    json.loads(found.model_dump_json(), parse_constant=lambda name: pytest.fail(name))


def test_a_run_of_which_nothing_was_reported_is_a_report_too() -> None:
    found = made(Tally(load(), Conditions()), Conditions())

    assert found.problems[0] == "no request was answered"
    assert found.found.over_time is None


def test_why_nothing_is_predicted_is_said() -> None:
    assert (report().predicted, report().not_predicted) == (None, "not asked for")


def test_intervals_without_an_answer_have_no_latency() -> None:
    conditions = Conditions()
    tally = Tally(load(), conditions)
    tally.add(batch(failed(one) if one.arrival_s < 1 else answered(one) for one in load().requests()))

    over_time = made(tally, conditions).found.over_time

    assert over_time is not None
    assert over_time.ttft_p50[0] is None
    assert over_time.ttft_p50[1] == pytest.approx(0.1, rel=0.02)
    assert over_time.failed[:2] == (10, 0)


def test_what_was_predicted_of_the_same_requests_stands_beside_with_its_bands() -> None:
    foretold = run_of([EIGHT_AT_A_TIME], load(), Conditions(promises=PROMISES))

    predicted = report(predicted=foretold).predicted

    assert predicted is not None
    assert (predicted.basis, predicted.goodput) == ("roofline", 1.0)
    # Eleven tokens, of which the first takes a step and each other one too: 20 ms.
    assert predicted.tpot.p50 == pytest.approx(0.02, rel=0.005)
    low, high = predicted.tpot.ends["p50"]
    assert low <= 0.02 * 1.005
    assert high >= 0.02 * 0.995


def made(tally: Tally, conditions: Conditions) -> InjectionReport:
    return report_of(
        tally.measured(),
        tally.overtime,
        job(load()),
        conditions,
        name="chat",
        tested=None,
        predicted="",
        began_s=0.0,
        ended_s=10.0,
    )
