"""A recorded run is replayed with its own arrivals and lengths."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enova.core.accuracy.recorded_run import RecordedRequest, RecordedRun, Tick, measured_latencies, replay_run
from enova.core.accuracy.replay import NeverServed
from enova.core.simulate.limits import Limits
from tests.core.accuracy.stand_in import Steps

LIMITS = Limits(max_num_seqs=1, max_num_batched_tokens=1000, kv_blocks=1000, prefix_caching=False)
RUN = RecordedRun(
    name="r",
    file="runs/r",
    source="lab",
    model="m",
    gpu="g",
    vllm=(0, 19),
    engine={},
    tensor_parallel=1,
    data_parallel=1,
    expert_parallel=False,
    kv_blocks=None,
    requests=(RecordedRequest(0.0, 10, 101, 0.1, 1.1), RecordedRequest(0.5, 10, 1, 2.0, 2.0)),
    ticks=(Tick(0.25, 1, 0), Tick(0.75, 1, 1), Tick(9.0, 0, 0)),
)


def test_latencies_count_from_when_the_scheduler_got_a_request() -> None:
    measured = dict(measured_latencies(RUN).figures())

    assert measured["ttft_mean"] == pytest.approx((0.1 + 1.5) / 2)
    assert measured["e2e_p50"] == pytest.approx((1.1 + 1.5) / 2)
    # A request of one token has no gap between tokens.
    assert measured["tpot_mean"] == measured["tpot_p99"] == pytest.approx(0.01)


def test_requests_come_when_they_came_and_queue_as_they_must() -> None:
    replayed = replay_run(RUN, Steps(0.01), LIMITS)

    # One seat: the second request waits for the end of the first, 101 steps from the start.
    assert sorted(replayed.latencies.ttft_s) == pytest.approx([0.01, 1.01 + 0.01 - 0.5])
    assert replayed.preemptions == 0


def test_the_engine_is_looked_at_when_the_real_one_was() -> None:
    assert replay_run(RUN, Steps(0.01), LIMITS).ticks == RUN.ticks


def test_order_in_the_file_does_not_matter() -> None:
    turned = replace(RUN, requests=RUN.requests[::-1])

    assert sorted(replay_run(turned, Steps(0.01), LIMITS).latencies.e2e_s) == pytest.approx(
        sorted(replay_run(RUN, Steps(0.01), LIMITS).latencies.e2e_s)
    )


def test_a_request_that_never_fits_ends_the_replay() -> None:
    long = replace(RUN, requests=(RecordedRequest(0.0, 20_000, 5, 1.0, 2.0),))

    with pytest.raises(NeverServed):
        replay_run(long, Steps(0.01), LIMITS)
