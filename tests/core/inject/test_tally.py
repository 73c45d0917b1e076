"""What becomes of a load is counted as a simulated one is, from the schedule and from the send."""

from __future__ import annotations

import gc
import math
import tracemalloc
from itertools import islice

import numpy as np
import pytest

from enova.core.inject.outcome import Failure, Outcome
from enova.core.inject.tally import Schedule, Tally, schedule_of
from enova.core.simulate.forecast import Conditions
from enova.core.simulate.results import Metric
from tests.core.inject.runs import PROMISES, answered, batch, failed, load

NONE = Conditions()


def test_latencies_are_from_the_schedule_and_from_the_send() -> None:
    tally = Tally(load(), NONE)
    tally.add(batch(answered(request, lag_s=0.05) for request in load().requests()))

    found = tally.measured()

    assert found.from_schedule.of("ttft", "p50").value == pytest.approx(0.15, rel=0.005)
    assert found.from_send.of("ttft", "p50").value == pytest.approx(0.10, rel=0.005)
    assert found.from_schedule.of("e2e", "mean").value == pytest.approx(0.35)
    assert found.from_schedule.of("tpot", "p99").value == pytest.approx(0.02, rel=0.005)
    assert found.from_schedule.of("itl", "p50").value == pytest.approx(0.02, rel=0.005)
    assert found.lag == pytest.approx((0.05, 0.05, 0.05), rel=0.005)


def test_a_stall_shows_from_the_schedule_where_the_client_waited_too() -> None:
    # From second 4 to 9 nothing is sent: what was due then is sent at 9, and answered at once.
    outcomes = [
        answered(one, lag_s=max(0.0, 9 - one.arrival_s) if one.arrival_s >= 4 else 0.0)
        for one in load().requests()
    ]
    tally = Tally(load(), NONE)
    tally.add(batch(outcomes))

    found = tally.measured()

    assert found.from_send.of("ttft", "p99").value == pytest.approx(0.1, rel=0.005)
    assert found.from_schedule.of("ttft", "p99").value > 4.9
    assert found.from_schedule.latencies[Metric.TTFT].highest == pytest.approx(5.1)
    assert found.lag.highest_s == pytest.approx(5.0)


def test_percentiles_are_those_of_the_answers() -> None:
    rng = np.random.default_rng(1)
    sent = load(rate=100.0)
    ttfts = rng.lognormal(-2, 0.5, 1000)
    tally = Tally(sent, NONE)
    tally.add(batch(answered(one, ttft_s=ttft) for one, ttft in zip(sent.requests(), ttfts.tolist(), strict=True)))

    found = tally.measured().from_schedule

    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        figure = found.of("ttft", name)
        assert figure.value == pytest.approx(np.quantile(ttfts, share), rel=0.006)
        assert figure.band.low <= figure.value <= figure.band.high


def test_asked_and_achieved_are_of_the_schedule() -> None:
    tally = Tally(load(), NONE)
    tally.add(batch(answered(request) for request in load().requests()))

    found = tally.measured()

    assert (found.due, found.sent, found.schedule_s, found.closed, found.stopped) == (100, 100, 10.0, False, False)
    assert (found.asked_per_s, found.achieved_per_s, found.achieved_share) == (10.0, 10.0, 1.0)


def test_a_client_that_falls_behind_achieves_less_than_was_asked() -> None:
    # Each request is sent twice as late as it was due: after 20 s, not 10.
    outcomes = [answered(request, lag_s=request.arrival_s) for request in load().requests()]
    tally = Tally(load(), NONE)
    tally.add(batch(outcomes, at_s=20.0))

    found = tally.measured()

    assert found.sending_s == pytest.approx(19.8)
    assert found.achieved_share == pytest.approx(10 / 19.8)


def test_what_was_not_sent_counts_as_due() -> None:
    requests = list(load().requests())
    tally = Tally(load(), NONE)
    tally.add(batch([*map(answered, requests[:60]), *(failed(one, Failure.NOT_SENT) for one in requests[60:])]))

    found = tally.measured()

    assert (found.due, found.sent, found.achieved_share) == (100, 60, 0.6)
    assert found.failures == {"not_sent": 40}


def test_failures_are_lost_to_goodput_by_kind() -> None:
    requests = list(load().requests())
    tally = Tally(load(), Conditions(promises=PROMISES))
    late = [answered(one, ttft_s=0.3) for one in requests[80:90]]
    tally.add(batch([*map(answered, requests[:80]), *late, *(failed(one, "http_429") for one in requests[90:])]))

    found = tally.measured()

    assert (found.from_schedule.served, found.from_schedule.lost) == (90, 10)
    assert found.from_schedule.reasons == {"http_429": 10}
    assert found.from_schedule.goodput is not None
    assert found.from_schedule.goodput.share.value == pytest.approx(0.8)
    assert found.from_schedule.availability.value == pytest.approx(0.9)


def test_the_warm_up_is_sent_and_not_counted() -> None:
    requests = list(load().requests())
    tally = Tally(load(), Conditions(warmup_s=2.0))
    slow = [answered(one, ttft_s=5.0) for one in requests[:20]]
    tally.add(batch([*slow, *map(answered, requests[20:])]))

    found = tally.measured()

    assert found.from_schedule.served == 80
    assert found.from_schedule.latencies[Metric.TTFT].highest == pytest.approx(0.1)
    assert found.due == 100


def test_a_run_that_was_stopped_was_to_send_what_was_due_until_then() -> None:
    requests = list(load().requests())
    tally = Tally(load(), NONE)
    stopped = [failed(one, Failure.STOPPED) for one in requests[45:50]]
    tally.add(batch([*map(answered, requests[:45]), *stopped], at_s=5.0))

    found = tally.measured(stopped_s=5.0)

    assert (found.due, found.sent, found.stopped, found.achieved_share) == (50, 50, True, 1.0)
    assert found.failures == {"stopped": 5}
    # What was ended by hand is no failure of the server.
    assert found.from_schedule.lost == 0


def test_of_a_run_that_was_stopped_in_its_warm_up_all_is_counted() -> None:
    requests = list(load().requests())
    tally = Tally(load(), Conditions(warmup_s=5.0))
    tally.add(batch(map(answered, requests[:30]), at_s=3.5))

    assert tally.measured(stopped_s=3.5).from_schedule.served == 30
    assert tally.measured(stopped_s=3.5).from_schedule.warmup_s == 0.0
    # Not stopped, or later, the warm-up is left out as ever.
    assert tally.measured().from_schedule.served == 0
    tally.add(batch(map(answered, requests[30:70]), at_s=7.5))
    assert tally.measured(stopped_s=7.5).from_schedule.served == 20


def test_users_who_wait_have_no_rate_of_their_own() -> None:
    users = load(arrival={"process": "closed_loop", "users": 2})
    requests = [
        one._replace(arrival_s=0.5 * one.number) for one, _ in zip(users.requests(), range(10), strict=False)
    ]
    tally = Tally(users, NONE)
    tally.add(batch(map(answered, requests)))

    found = tally.measured()

    assert (found.closed, found.due, found.sent, found.achieved_share) == (True, 10, 10, 1.0)


def test_a_limit_on_requests_in_flight_closes_the_loop() -> None:
    assert Tally(load(), NONE, limited=True).measured().closed


def test_each_class_is_counted_by_itself() -> None:
    lengths = {
        "prompt_tokens": {"distribution": "fixed", "tokens": 10},
        "output_tokens": {"distribution": "fixed", "tokens": 2},
    }
    mixed = load(
        classes=[{"name": name, "weight": 1, **lengths} for name in ("chat", "code")],
        prompt_tokens=None,
        output_tokens=None,
    )
    tally = Tally(mixed, NONE)
    tally.add(batch(answered(one, ttft_s=0.1 if one.kind == "chat" else 0.4) for one in mixed.requests()))

    found = tally.measured().from_schedule.classes

    assert found["chat"].served + found["code"].served == 100
    assert found["chat"].latencies[Metric.TTFT].p50.value == pytest.approx(0.1, rel=0.005)
    assert found["code"].latencies[Metric.TTFT].p50.value == pytest.approx(0.4, rel=0.005)


def test_the_busiest_worker_counts_while_it_sends() -> None:
    tally = Tally(load(), NONE)
    for worker, cpu_s in ((0, 2.0), (1, 8.0)):
        tally.add(batch([], worker=worker, at_s=10.0, cpu_s=cpu_s, sending=True))
        # Afterwards it only waits, which says nothing about whether it kept up.
        tally.add(batch([], worker=worker, at_s=100.0, cpu_s=cpu_s + 1, sending=False))
        tally.add(batch([], worker=worker, at_s=200.0, cpu_s=cpu_s + 2, sending=False))

    assert tally.measured().cpu_share == pytest.approx(0.8)
    assert tally.measured().workers == 2


def test_lengths_the_server_counted_stand_beside_those_asked_for() -> None:
    outcomes = [answered(one)._replace(prompt_tokens=104, output_tokens=10) for one in load().requests()]
    tally = Tally(load(), NONE)
    tally.add(batch(outcomes))

    found = tally.measured()

    assert found.prompt_tokens == (10_000, 10_400)
    assert found.output_tokens == (1100, 1000)


def test_progress_is_of_the_last_seconds() -> None:
    requests = list(load().requests())
    tally = Tally(load(), NONE)
    tally.add(batch([answered(one, ttft_s=1.0) for one in requests[:20]], at_s=3.0, sending=True, in_flight=4))
    tally.add(
        batch(
            [*map(answered, requests[50:90]), failed(requests[90])], at_s=9.5, sent=61, sending=True, in_flight=2
        )
    )

    found = tally.so_far()

    assert (found.sent, found.answered, found.failures, found.in_flight, found.sending) == (
        61,
        60,
        {"reset": 1},
        2,
        True,
    )
    assert found.recent_ttft_p50_s == pytest.approx(0.1)
    assert found.recent_per_s == pytest.approx(8.0)


def test_before_the_first_answer_nothing_is_known() -> None:
    found = Tally(load(), NONE).so_far()

    assert (found.sent, found.answered) == (0, 0)
    assert math.isnan(found.recent_ttft_p95_s)


def test_memory_does_not_grow_with_the_number_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    # Rows wait in buffers for numpy to be worth its while; here they do not wait for long.
    monkeypatch.setattr("enova.core.simulate.collector._ROWS", 512)
    monkeypatch.setattr("enova.core.simulate.collector._RAMPS", 2048)
    requests = load(rate=1000.0, duration="1h").requests()
    tally = Tally(load(rate=1000.0, duration="1h"), Conditions(promises=PROMISES))

    def add(count: int) -> int:
        for _ in range(count // 500):
            some = list(islice(requests, 500))
            tally.add(batch(map(answered, some), at_s=some[-1].arrival_s))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = add(10_000)
        after = add(20_000)
    finally:
        tracemalloc.stop()

    assert after - before < 500_000


def test_the_schedule_ends_with_the_duration_the_limit_or_the_last_request() -> None:
    assert schedule_of(load(), None) == Schedule(100, 10.0)
    assert schedule_of(load(), 30) == Schedule(30, 2.9)
    assert schedule_of(load(), None, until_s=4.0) == Schedule(40, 4.0)
    stages = {"process": "stages", "stages": [{"duration": "5s", "rate": "20/s"}]}
    requests, seconds = schedule_of(load(duration="1h", arrival=stages), None)
    assert 60 < requests < 140
    assert seconds == 3600.0


def test_an_outcome_without_a_count_of_tokens_has_those_asked_for() -> None:
    [request, *_] = load().requests(1)
    tally = Tally(load(), NONE)
    tally.add(batch([Outcome(request, 0.0, 0.1, 0.3, 0, 11)]))

    assert tally.measured().prompt_tokens == (0, 0)
    assert tally.measured().output_tokens == (11, 11)
