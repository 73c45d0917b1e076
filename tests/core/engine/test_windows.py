from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from enova.core.engine.calibration import Calibrated, Calibration, StepCosts, Work, calibrate
from enova.core.engine.frontend import measured_frontend
from enova.core.engine.snapshot import Snapshot
from enova.core.engine.step_time import Frontend
from enova.core.engine.windows import reading_of
from tests.core.engine.scraped import poisson, scraped

CPU = StepCosts(
    step_s=11e-3, chunk_s=5e-3, sequence_s=0.2e-3, prompt_token_s=0.4e-3, pair_s=0.3e-6, kv_token_s=3e-6
)
GPU = StepCosts(
    step_s=8e-3, chunk_s=0.5e-3, sequence_s=30e-6, prompt_token_s=20e-6, pair_s=0.5e-9, kv_token_s=50e-9
)


def calibrated_from(snapshots: list[Snapshot]) -> Calibration:
    return calibrate(reading_of(snapshots).observations)


def assert_alike(found: StepCosts, truth: StepCosts, *, within: float) -> None:
    """Compare what steps take: costs that always come together cannot be told apart."""
    for work in (Work(1, 0, 4, 0, 0, 3000), Work(1, 0, 12, 0, 0, 9000), Work(1, 1, 4, 800, 320_000, 3000)):
        assert found.seconds(work) == pytest.approx(truth.seconds(work), rel=within)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("truth", "rate", "every_s", "within"),
    [
        pytest.param(CPU, 0.3, 0.5, 0.05, id="idle now and then, looked at often"),
        pytest.param(CPU, 1.2, 0.5, 0.05, id="busy, looked at often"),
        pytest.param(CPU, 1.2, 5.0, 0.15, id="busy, looked at now and then"),
        pytest.param(GPU, 4.0, 1.0, 0.05, id="a GPU looked at often"),
        pytest.param(GPU, 8.0, 15.0, 0.12, id="a GPU as Prometheus looks at it"),
    ],
)
def test_the_metrics_of_a_running_engine_give_its_costs(
    truth: StepCosts, rate: float, every_s: float, within: float
) -> None:
    requests = poisson(rate, max(100.0, 40 * every_s))

    found = calibrated_from(scraped(requests, Calibrated(truth), every_s=every_s))

    assert_alike(found.costs, truth, within=within)


def test_an_overloaded_engine_tells_what_full_batches_cost() -> None:
    found = calibrated_from(scraped(poisson(3.0, 100), Calibrated(CPU), every_s=0.5)).costs

    for work in (Work(1, 0, 15, 0, 0, 12_000), Work(1, 1, 14, 800, 320_000, 11_000)):
        assert found.seconds(work) == pytest.approx(CPU.seconds(work), rel=0.05)


def test_an_engine_that_is_mostly_idle_is_known_roughly_from_rare_looks() -> None:
    found = calibrated_from(scraped(poisson(0.2, 2000), Calibrated(CPU), every_s=60.0)).costs

    for work in (Work(1, 0, 1, 0, 0, 800), Work(1, 1, 1, 800, 320_000, 800)):
        assert found.seconds(work) == pytest.approx(CPU.seconds(work), rel=0.15)


def test_more_is_known_after_a_longer_look() -> None:
    snapshots = scraped(poisson(1.0, 200), Calibrated(CPU), every_s=0.5)
    work = Work(1, 1, 4, 800, 320_000, 3000)

    errors_s = [calibrated_from(snapshots[:count]).predict(work)[1] for count in (60, 200, 400)]

    assert errors_s == sorted(errors_s, reverse=True)


def test_a_metric_that_is_missing_is_named_and_nothing_is_made_up_in_its_place() -> None:
    snapshots = scraped(poisson(1.0, 20), Calibrated(CPU), every_s=0.5)

    reading = reading_of([replace(snapshot, steps=None, finished=None) for snapshot in snapshots])

    assert reading.observations == ()
    assert reading.unknown == ("steps", "finished")


def test_without_prefill_times_the_rest_still_tells() -> None:
    snapshots = scraped(poisson(1.0, 60), Calibrated(CPU), every_s=0.5)

    whole, part = reading_of(snapshots), reading_of([replace(snapshot, prefill_s=None) for snapshot in snapshots])

    assert part.unknown == ("prefill_s",)
    assert 50 < len(part.observations) < len(whole.observations)


def test_nothing_is_concluded_across_a_restart() -> None:
    snapshots = scraped(poisson(1.0, 60), Calibrated(CPU), every_s=0.5)
    again = [replace(snapshot) for snapshot in snapshots]

    once, twice = reading_of(snapshots), reading_of([*snapshots, *again])

    assert twice.windows == 2 * once.windows
    assert len(twice.observations) == 2 * len(once.observations)


def test_windows_with_preemptions_are_left_out() -> None:
    snapshots = scraped(poisson(1.0, 60), Calibrated(CPU), every_s=0.5)

    reading = reading_of([replace(snapshot, preemptions=float(n)) for n, snapshot in enumerate(snapshots)])

    assert reading.observations == ()


@pytest.mark.slow
@pytest.mark.parametrize("truth", [CPU, GPU])
def test_what_requests_spend_outside_the_scheduler_is_told_from_waiting_for_a_step(truth: StepCosts) -> None:
    frontend = Frontend(before_s=0.03, before_s_per_prompt_token=0.0, after_s=0.01)
    requests = poisson(0.1, 600, prompts=(16, 300))
    snapshots = scraped(requests, Calibrated(truth), every_s=0.5, frontend=frontend)

    found = measured_frontend(snapshots, calibrated_from(snapshots))

    assert found is not None
    assert found.before_s == pytest.approx(0.03, abs=0.006)


def test_time_outside_is_unknown_where_latencies_are() -> None:
    snapshots = scraped(poisson(0.5, 60), Calibrated(CPU), every_s=0.5)
    calibration = calibrated_from(snapshots)

    assert measured_frontend([replace(snapshot, latency_s=None) for snapshot in snapshots], calibration) is None
    assert measured_frontend(snapshots[:1], calibration) is None


def test_the_way_through_http_is_part_of_what_users_wait_for() -> None:
    snapshots = scraped(poisson(0.1, 200), Calibrated(GPU), every_s=0.5)
    calibration = calibrated_from(snapshots)
    answered = [
        replace(
            snapshot,
            answers=snapshot.finished,
            answers_s=(snapshot.latency_s or 0) + 0.02 * (snapshot.finished or 0),
        )
        for snapshot in snapshots
    ]

    without, through = measured_frontend(snapshots, calibration), measured_frontend(answered, calibration)

    assert without is not None
    assert through is not None
    assert through.before_s - without.before_s == pytest.approx(0.02)


def test_answers_still_on_their_way_do_not_count_as_slow_ones() -> None:
    snapshots = scraped(poisson(0.2, 200), Calibrated(GPU), every_s=0.5)
    calibration = calibrated_from(snapshots)
    behind = [replace(snapshots[0], answers=0.0, answers_s=0.0)]
    for before, snapshot in pairwise(snapshots):
        # HTTP counts an answer one look later than the engine.
        answers_s = (before.latency_s or 0) + 0.02 * (before.finished or 0)
        behind.append(replace(snapshot, answers=before.finished, answers_s=answers_s))

    without, through = measured_frontend(snapshots, calibration), measured_frontend(behind, calibration)

    assert without is not None
    assert through is not None
    assert through.before_s - without.before_s == pytest.approx(0.02)
