"""New replicas are watched beside old ones, and taken back if they do worse."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from enova.core.canary import Canary
from enova.core.desired import Desired
from enova.core.engine.snapshot import Snapshot
from enova.core.launch import Role
from enova.core.ledger.histogram import Histogram
from enova.core.ledger.window import Look
from enova.core.observed import State
from enova.core.reconcile import reconcile
from enova.errors import ApplyError, Interrupted, ObserveError
from enova.executor import Result, execute
from enova.observe import observe
from enova.testing import MemoryHost, memory_world
from enova.trial import watch_trial
from tests.staging import desired

EDGES = (0.1, 0.25, 0.5, 1.0, math.inf)
CANARY = Canary(share=0.25, duration_s=60)


def replica(*, rate: float = 2.0, ttft_s: float = 0.2, failing: float = 0.0) -> Callable[[float], Look]:
    """Return metrics of a replica that answers so many requests/s, of which a share fail."""

    def look(at_s: float) -> Look:
        done, failed = rate * at_s * (1 - failing), rate * at_s * failing
        counts = tuple(done if edge >= ttft_s else 0.0 for edge in EDGES)
        snapshot = Snapshot(
            at_s=at_s, finished=done, finished_output_tokens=done, output_tokens=done, running=0.0, waiting=0.0
        )
        return Look(
            engines={"0": snapshot},
            histograms={"ttft": Histogram(EDGES, counts, done * ttft_s)},
            started_s=1.0,
            errors=failed,
        )

    return look


def blind(_: float) -> Look:
    raise ObserveError("no answer")


def service(seqs: int = 8) -> Desired:
    return desired(
        replicas=4, replica={"args": {"max_num_seqs": seqs}}, rollout={"canary": CANARY, "settle_s": 0.0}
    )


def applied(host: MemoryHost, wanted: Desired, stop: threading.Event | None = None) -> Result:
    world = memory_world(host)
    plan = reconcile([wanted], observe(world, needed={"docker"}, gpus=False))
    gateways = [i for i in host.instances.values() if i.role is Role.GATEWAY]
    return execute(plan, world, gateways, lambda _: None, stop or threading.Event())


def serving(host: MemoryHost) -> list[int]:
    """Return max_num_seqs of every replica that runs and is routed to."""
    routed = {url for urls in host.routes.values() for url in urls}
    replicas = [i for i in host.instances.values() if i.role is Role.REPLICA and i.state is State.RUNNING]
    return sorted(int(str(i.settings["engine.max_num_seqs"])) for i in replicas if i.worker_url in routed)


def staged(**canary: float) -> MemoryHost:
    """Return a host on which four replicas serve; the first slot does as told from its replacement on."""
    host = MemoryHost()
    applied(host, service())
    host.metrics = {f"chat#{slot}": replica() for slot in range(1, 4)} | {"chat#0": replica(**canary)}
    return host


def test_a_canary_that_does_as_well_is_followed_by_the_rest() -> None:
    host = staged()

    result = applied(host, service(16))

    assert (result.failures, serving(host)) == ([], [16, 16, 16, 16])
    assert len(host.instances) == 5
    assert host.time_s >= CANARY.duration_s


@pytest.mark.parametrize(
    ("canary", "words"),
    [
        ({"ttft_s": 0.8}, "ttft p95 is 0.975 s, 0.242 s elsewhere"),
        ({"failing": 0.5}, "50.0% of its answers are errors, 0.0% of the others'"),
    ],
)
def test_a_canary_that_does_worse_is_taken_back_and_nothing_follows(canary: dict[str, float], words: str) -> None:
    host = staged(**canary)

    result = applied(host, service(16))

    (failure,) = result.failures
    assert failure.message == (
        f"the canary does worse than what it was to replace:\n    {words}\nit was taken back"
    )
    assert not failure.retryable
    assert serving(host) == [8, 8, 8, 8]
    assert len(host.instances) == 5
    assert applied(host, service()).done == []


def test_errors_end_a_trial_before_its_time() -> None:
    host = staged(failing=0.5)

    applied(host, service(16))

    assert host.time_s < CANARY.duration_s


def test_too_little_traffic_is_waited_for_and_then_no_reason_to_stop() -> None:
    host = staged(rate=0.05)

    result = applied(host, service(16))

    assert (result.failures, serving(host)) == ([], [16, 16, 16, 16])
    assert host.time_s >= 3 * CANARY.duration_s


def test_what_cannot_be_seen_is_not_judged_and_keeps_both() -> None:
    host = staged()
    host.metrics["chat#0"] = blind

    result = applied(host, service(16))

    (failure,) = result.failures
    assert (failure.message, failure.retryable) == ("the canary could not be judged: no answer", True)
    assert serving(host) == [8, 8, 8, 16]
    host.metrics["chat#0"] = replica()
    assert applied(host, service(16)).failures == []
    assert serving(host) == [16, 16, 16, 16]


def test_one_whose_metrics_come_late_is_compared_from_then_on() -> None:
    host = MemoryHost()
    world = replace(memory_world(host), metrics=lambda url, _: looks[url](host.time_s))
    late = replica(ttft_s=0.8)
    looks = {"new": lambda at_s: late(at_s) if at_s > 10 else blind(at_s), "old": replica()}

    found = watch_trial(world, ["new"], ["old"], CANARY, lambda _: None, threading.Event())

    assert found == ("ttft p95 is 0.975 s, 0.242 s elsewhere",)


def test_a_trial_ends_on_request() -> None:
    host, stop = MemoryHost(), threading.Event()
    stop.set()
    world = replace(memory_world(host), metrics=lambda *_: replica()(host.time_s))

    with pytest.raises(Interrupted):
        watch_trial(world, ["new"], ["old"], CANARY, lambda _: None, stop)


def test_news_tell_how_long_it_goes_on() -> None:
    host, told = MemoryHost(), list[str]()
    world = replace(memory_world(host), metrics=lambda *_: replica()(host.time_s))

    watch_trial(world, ["new"], ["old"], CANARY, told.append, threading.Event())

    assert told[0] == "on trial: 5 of 60 s"
    assert told[-1] == "passed"


def test_a_trial_of_nothing_that_serves_is_worth_another_try() -> None:
    host = MemoryHost()

    with pytest.raises(ApplyError) as caught:
        watch_trial(memory_world(host), ["memory://gone"], [], CANARY, lambda _: None, threading.Event())

    assert caught.value.retryable
