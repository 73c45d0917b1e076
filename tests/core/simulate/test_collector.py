"""What a collector sees becomes results that agree with the requests themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from enova.core.engine.step_time import Origin
from enova.core.simulate.collector import Collector
from enova.core.simulate.observer import Served
from enova.core.simulate.replica import ReplicaView, Stage
from enova.core.simulate.results import Factors, Metric, ModelError, Results
from enova.core.simulate.summary import Work, results_of
from enova.core.workload.request import Request

WORK = Work(busy_s=30.0, present_s=120.0, preemptions=7)


def served(number: int, arrival_s: float, *, kind: str = "", scale: float = 1.0, output: int = 11) -> Served:
    """Wait 0.1 s, first token after 0.3 s, then 10 ms a token, all times `scale`."""
    request = Request(number, arrival_s, 100, output, kind)
    finished_s = arrival_s + scale * (0.3 + 0.01 * (output - 1))
    return Served(request, arrival_s + scale * 0.1, arrival_s + scale * 0.3, finished_s, 0, 0)


def results(collector: Collector) -> Results:
    return results_of(collector, WORK)


def noisy(collector: Collector, count: int, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Let it see requests whose times are scaled at random; return the scales."""
    scales = np.random.default_rng(seed).exponential(1.0, count)
    for number, scale in enumerate(scales.tolist()):
        collector.served(served(number, number / 10, scale=scale))
    return scales


def test_latencies_are_defined_as_users_see_them() -> None:
    collector = Collector()
    for number in range(100):
        collector.served(served(number, number / 10))
    collector.decoded(5, 200, 0.01, 0.01)
    found = results(collector)

    expected = {Metric.QUEUE: 0.1, Metric.TTFT: 0.3, Metric.TPOT: 0.01, Metric.ITL: 0.01, Metric.E2E: 0.4}
    assert {metric: found.of(metric, "p95").value for metric in Metric} == pytest.approx(expected, rel=1e-6)
    assert found.latencies[Metric.ITL].count == 1000
    assert (found.utilisation, found.preemptions, found.served) == (0.25, 7, 100)


def test_gaps_may_be_told_many_at_once() -> None:
    gaps_s = np.random.default_rng(0).exponential(0.01, 500)
    one_by_one, at_once = Collector(), Collector()
    for collector in (one_by_one, at_once):
        noisy(collector, 50)
    for gap_s in gaps_s.tolist():
        one_by_one.decoded(1, 1, gap_s, gap_s)
    at_once.decoded_many(gaps_s)

    assert results(at_once).latencies[Metric.ITL] == results(one_by_one).latencies[Metric.ITL]
    assert results(at_once).latencies[Metric.ITL].count == 500


def test_requests_without_an_answer_count_from_the_end_of_the_warm_up() -> None:
    collector = Collector(warmup_s=5.0)
    for arrival_s in (4.9, 5.0, 7.0):
        request = served(0, arrival_s, kind="chat").request
        collector.rejected(request, "too long")
        collector.lost(request, arrival_s + 1.0, "its replica died")
    found = results(collector)

    assert (found.rejected, found.lost, found.classes["chat"].rejected) == (2, 2, 4)
    assert found.reasons == {"too long": 2, "its replica died": 2}


def test_rates_are_of_what_was_done_until_the_last_answer() -> None:
    collector = Collector()
    for number in range(100):
        collector.served(served(number, number / 10))
    found = results(collector)

    assert found.duration_s == pytest.approx(9.9 + 0.4)
    assert found.requests_per_s.value == pytest.approx(100 / 10.3)
    assert found.prompt_tokens_per_s.value == pytest.approx(10_000 / 10.3)
    assert found.output_tokens_per_s.value == pytest.approx(1100 / 10.3)


def test_percentiles_agree_with_those_of_the_requests() -> None:
    collector = Collector()
    scales = noisy(collector, 3000)
    found = results(collector)

    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        assert found.of("ttft", name).value == pytest.approx(0.3 * np.quantile(scales, share), rel=0.005)
    assert found.of("ttft", "mean").value == pytest.approx(0.3 * scales.mean())


@pytest.mark.slow
@pytest.mark.parametrize("count", [300, 20_000])
def test_bands_of_noise_hold_the_truth_as_often_as_they_say(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of exponential latencies the true mean and percentiles are known; long runs merge batches on their way."""
    monkeypatch.setattr("enova.core.simulate.collector._ROWS", 2048)
    runs = 50 if count == 300 else 8
    held = {"mean": 0, "p50": 0, "p90": 0, "p99": 0}
    truth = {"mean": 0.3, "p50": 0.3 * np.log(2), "p90": 0.3 * np.log(10), "p99": 0.3 * np.log(100)}
    for seed in range(runs):
        collector = Collector()
        noisy(collector, count, seed)
        found = results(collector)
        for name, value in truth.items():
            band = found.of("ttft", name).band
            held[name] += band.low * 0.996 <= value <= band.high * 1.004
            # The 1 % of 300 requests says little about the 99th percentile.
            assert band.high < value * (3 if count == 300 else 1.2)

    assert all(times >= 0.75 * runs for times in held.values()), held


def test_what_changes_in_the_course_of_a_run_is_no_noise() -> None:
    """Latencies that grow tenfold, with 10 % of noise: the band of their mean is that of the noise."""
    bands = {}
    for changing in (False, True):
        collector = Collector(changing=changing)
        noise = np.random.default_rng(1).normal(1.0, 0.1, 2000)
        for number, scale in enumerate((noise * np.linspace(1, 10, 2000)).tolist()):
            collector.served(served(number, number / 10, scale=scale))
        band = results(collector).of("ttft", "mean").band
        bands[changing] = (band.high - band.low) / 2

    # 10 % of 1.65 s in 2000 requests, and what one of 20 batches rises above the last one.
    assert 0.006 < bands[True] < 0.05
    assert bands[False] > 0.25


def test_one_request_has_no_noise_to_speak_of() -> None:
    collector = Collector()
    collector.served(served(0, 0.0))
    figure = results(collector).of("ttft", "p99")

    assert figure.band == pytest.approx((0.3, 0.3, 0.9))


def test_a_band_holds_the_error_of_the_model_too() -> None:
    error = ModelError(
        {(Origin.ROOFLINE, "ttft"): Factors(0.8, 1.5), (Origin.ROOFLINE, "ttft.p99"): Factors(0.5, 2)}
    )
    collector = Collector(error=error)
    for number in range(100):
        collector.served(served(number, number / 10))
    found = results(collector)

    assert found.of("ttft", "mean").band == pytest.approx((0.3 * 0.8, 0.3 * 1.5, 0.9), rel=1e-6)
    assert found.of("ttft", "p99").band == pytest.approx((0.15, 0.6, 0.9), rel=1e-6)
    assert found.of("tpot", "mean").band == pytest.approx((0.01, 0.01, 0.9), rel=1e-6)


@pytest.mark.parametrize(
    ("closed", "scale", "is_limit"), [(False, 1.0, False), (True, 1.0, True), (False, 30.0, True)]
)
def test_throughput_is_as_uncertain_as_the_model_only_where_the_fleet_decides_on_it(
    closed: bool, scale: float, is_limit: bool
) -> None:
    error = ModelError({(Origin.ROOFLINE, "throughput"): Factors(0.5, 2.0)})
    collector = Collector(error=error, closed=closed)
    for number in range(200):
        collector.served(served(number, number / 10, scale=scale))
    rate = results(collector).requests_per_s

    assert (rate.band.high > 1.9 * rate.value) is is_limit


def test_the_warm_up_is_left_out() -> None:
    collector = Collector(warmup_s=5.0)
    for number in range(100):
        gap_s, scale = (1.0, 100.0) if number < 50 else (0.01, 1.0)
        collector.decoded(1, 10, gap_s, gap_s)
        collector.served(served(number, number / 10, scale=scale))
    found = results(collector)

    assert (found.latencies[Metric.TTFT].count, found.latencies[Metric.ITL].count) == (50, 500)
    assert found.latencies[Metric.TTFT].highest == pytest.approx(0.3)
    assert found.latencies[Metric.ITL].highest == pytest.approx(0.01)


def test_goodput_counts_requests_that_meet_every_target_and_none_that_got_no_answer() -> None:
    collector = Collector(targets={Metric.TTFT: 0.5, Metric.TPOT: 0.02})
    for number in range(80):
        collector.served(served(number, number / 10, scale=1.0 if number % 2 else 2.0))
    for number in range(80, 100):
        collector.rejected(Request(number, 8.0, 10**6, 1), "too long")
    found = results(collector)

    assert found.goodput is not None
    assert (found.goodput.share.value, found.rejected) == (0.4, 20)
    assert found.goodput.per_s.value == pytest.approx(40 / found.duration_s)


def test_goodput_has_a_band_from_the_error_of_the_model() -> None:
    error = ModelError({(Origin.ROOFLINE, "ttft"): Factors(0.5, 2.0)})
    collector = Collector(targets={Metric.TTFT: 0.5}, error=error)
    for number in range(100):
        collector.served(served(number, number / 10, scale=(1.0, 2.0, 0.5, 9.0)[number % 4]))
    goodput = results(collector).goodput

    assert goodput is not None
    assert goodput.share.value == 0.5
    assert goodput.share.band.low == pytest.approx(0.25, abs=0.02)
    assert goodput.share.band.high == pytest.approx(0.75, abs=0.02)


def test_a_single_token_cannot_come_too_late_after_the_first() -> None:
    collector = Collector(targets={Metric.TPOT: 0.001})
    collector.served(served(0, 0.0, output=1))
    found = results(collector)

    assert found.goodput is not None
    assert (found.goodput.share.value, found.latencies[Metric.TPOT].count) == (1.0, 0)


def test_without_targets_there_is_no_goodput() -> None:
    collector = Collector()
    collector.served(served(0, 0.0))

    assert results(collector).goodput is None


def test_classes_are_told_apart_even_if_one_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enova.core.simulate.collector._ROWS", 64)
    collector = Collector(targets={Metric.TTFT: 0.5})
    for number in range(200):
        kind, scale = ("chat", 1.0) if number < 150 else ("batch", 3.0)
        collector.served(served(number, number / 10, kind=kind, scale=scale))
    collector.rejected(Request(200, 0.0, 1, 1, "batch"), "too long")
    found = results(collector)

    assert list(found.classes) == ["batch", "chat"]
    batch, chat = found.classes["batch"], found.classes["chat"]
    assert (batch.served, batch.rejected, chat.served) == (50, 1, 150)
    assert batch.latencies[Metric.TTFT].p50.value == pytest.approx(0.9)
    assert chat.latencies[Metric.TTFT].p99.value == pytest.approx(0.3)
    assert batch.goodput is not None
    assert chat.goodput is not None
    assert (batch.goodput.share.value, chat.goodput.share.value) == (0.0, 1.0)


def test_long_runs_come_to_the_same_as_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Collector(warmup_s=20.0)
    noisy(whole, 5000)
    expected = results(whole)
    monkeypatch.setattr("enova.core.simulate.collector._ROWS", 128)
    pieces = Collector(warmup_s=20.0)
    noisy(pieces, 5000)
    found = results(pieces)

    assert found.latencies[Metric.E2E].count == expected.latencies[Metric.E2E].count
    for metric in (Metric.TTFT, Metric.QUEUE, Metric.E2E):
        assert found.of(metric, "p95").value == pytest.approx(expected.of(metric, "p95").value)
        assert found.of(metric, "mean").value == pytest.approx(expected.of(metric, "mean").value)
    assert found.requests_per_s.value == pytest.approx(expected.requests_per_s.value)


def test_records_are_kept_only_if_asked_for() -> None:
    with_records, without = Collector(keep_records=True), Collector()
    for number in range(5):
        for collector in (with_records, without):
            collector.served(served(number, float(number), kind="chat"))
    records = results(with_records).records

    assert results(without).records is None
    assert records is not None
    assert records.arrival_s.tolist() == [0, 1, 2, 3, 4]
    assert (records.prompt_tokens.tolist(), records.kinds) == ([100] * 5, ("chat",) * 5)
    assert (records.finished_s - records.arrival_s).tolist() == pytest.approx([0.4] * 5)


def test_looks_at_the_fleet_become_a_series_and_the_use_of_kv() -> None:
    collector = Collector(warmup_s=1.0, interval_s=1.0)
    view = ReplicaView(0, Stage.READY, in_flight=5, running=4, waiting=1, kv_use=0.5)
    collector.look(0.5, [replace_view(view, kv_use=1.0)])
    collector.look(1.5, [view, replace_view(view, kv_use=0.7)])
    collector.look(2.5, [view, replace_view(view, stage=Stage.STARTING, kv_use=0.0)])
    collector.served(served(0, 2.0))
    found = results(collector)

    assert (found.kv_use_mean, found.kv_use_highest) == pytest.approx((0.55, 0.7))
    assert found.series is not None
    assert found.series.running.tolist() == [4, 8, 4]
    assert found.series.replicas.tolist() == [1, 2, 1]
    assert found.series.output_tokens.tolist() == [0, 0, 11]


def replace_view(view: ReplicaView, **changed: float | Stage) -> ReplicaView:
    return view._replace(**changed)  # type: ignore[arg-type]


def test_nothing_seen_comes_to_nothing() -> None:
    found = results(Collector(targets={Metric.TTFT: 1.0}))

    assert (found.served, found.requests_per_s.value, found.duration_s) == (0, 0.0, 0.0)
    assert np.isnan(found.of("ttft", "p50").value)
    assert replace(found, series=None).goodput is not None
