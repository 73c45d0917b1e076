"""Processes share one schedule, tell all they saw, and leave nothing behind."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from enova.adapters.injector import Run, workers_for
from enova.core.inject.outcome import Batch, Failure
from enova.errors import ApplyError, EnovaError
from tests.adapters.injector.loads import LATE_S, failures, job, load, run
from tests.adapters.injector.misbehaving import (
    END,
    HEAD,
    Client,
    after,
    chunk,
    events,
    for_ever,
    misbehaving,
    saying,
    well,
)


def test_gaps_between_tokens_are_those_the_client_saw() -> None:
    def slowly(client: Client, _: int) -> bool:
        client.send(HEAD)
        for event in events():
            client.send(chunk(event))
            client.wait(0.05)
        client.send(END)
        return True

    with misbehaving(slowly) as server:
        batches = list(Run(job(server.url), workers=1).batches())

    gaps = [gap for batch in batches for gap in batch.gaps_s]
    # Four tokens have three gaps.
    assert len(gaps) == 60
    assert 0.04 < sorted(gaps)[30] < 0.05 + LATE_S


def test_several_workers_share_one_schedule() -> None:
    with misbehaving(well) as server:
        outcomes = run(job(server.url, load(1.0)), workers=2)

    assert sorted(outcome.request.number for outcome in outcomes) == list(range(40))
    assert max(one.sent_s - one.request.arrival_s for one in outcomes) < LATE_S


def test_an_emulated_engine_is_known_by_its_mark() -> None:
    body = b"".join(events())

    with misbehaving(saying("200 OK", body, b"x-enova-emulated: true\r\n")) as server:
        batches = list(Run(job(server.url), workers=1).batches())

    assert batches[-1].emulated


def test_stopped_by_hand_it_tells_what_it_did() -> None:
    outcomes, began_s = [], math.inf
    with misbehaving(after(30.0)) as server:
        running = Run(job(server.url, load(600.0), deadline_s=600.0), workers=2)
        for batch in running.batches():
            outcomes += batch.outcomes
            if batch.sent > 10 and began_s == math.inf:
                began_s = time.monotonic()
                running.stop()

    assert time.monotonic() - began_s < 20.0
    assert set(failures(outcomes)) == {Failure.STOPPED}
    assert len(outcomes) > 20


def test_a_worker_that_is_killed_is_an_error_and_leaves_nothing_behind() -> None:
    with misbehaving(well) as server:
        batches = Run(job(server.url, load(30.0)), workers=2).batches()
        next(batches)
        [victim, *_] = multiprocessing.active_children()
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        with pytest.raises(EnovaError, match="ended unexpectedly, with exit code -9"):
            list(batches)

    assert multiprocessing.active_children() == []


def test_a_run_that_nobody_looks_at_any_more_leaves_nothing_behind() -> None:
    with misbehaving(well) as server:
        batches = Run(job(server.url, load(30.0)), workers=2).batches()
        assert isinstance(next(batches), Batch)
        batches.close()  # type: ignore[attr-defined]

    assert multiprocessing.active_children() == []


def test_users_wait_for_their_answers() -> None:
    users = {"process": "closed_loop", "users": 3, "think_time": "50ms"}

    with misbehaving(after(0.1)) as server:
        outcomes = run(job(server.url, load(1.5, users)), workers=2)

    assert server.most_open <= 3
    assert failures(outcomes) == {"": len(outcomes)}
    # In 1.5 s each of the three asks some nine times at most, since an answer and a thought take 150 ms.
    assert 9 <= len(outcomes) <= 33
    assert all(one.sent_s - one.request.arrival_s < LATE_S for one in outcomes)


def test_a_key_goes_into_a_header_and_into_no_arguments() -> None:
    arguments: list[bytes] = []

    def looks(client: Client, number: int) -> bool:
        if not number:
            for child in multiprocessing.active_children():
                arguments.append(Path(f"/proc/{child.pid}/cmdline").read_bytes())
                arguments.append(Path(f"/proc/{child.pid}/environ").read_bytes())
        return well(client, number)

    with misbehaving(looks) as server:
        run(job(server.url, key="s3cret"))

    assert "authorization: Bearer s3cret" in server.heads[0].split("\r\n")
    assert arguments
    assert not any(b"s3cret" in one for one in arguments)


@pytest.mark.parametrize("key", ["", "line\nend", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(EnovaError) as caught:
        run(job("http://127.0.0.1:1", key=key))

    assert not key or key not in f"{caught.value.message} {caught.value.hint}"
    assert isinstance(caught.value, ApplyError)


def test_a_limit_on_requests_in_flight_is_shared_by_the_workers() -> None:
    with misbehaving(after(0.3)) as server:
        run(replace(job(server.url, load(1.0), deadline_s=30.0), in_flight=5), workers=2)

    assert server.most_open <= 5


@pytest.mark.parametrize(("rate", "cpus", "expected"), [(None, 8, 1), (1.0, 8, 1), (20_000.0, 8, 7), (1e6, 1, 1)])
def test_there_are_as_many_workers_as_keep_up(rate: float | None, cpus: int, expected: int) -> None:
    assert workers_for(rate, 128, cpus, stream=True) == expected


def test_there_are_no_more_workers_than_have_something_to_do() -> None:
    users = {"process": "closed_loop", "users": 1}

    with misbehaving(after(0.02)) as server:
        outcomes = run(job(server.url, load(60.0, users), requests=7, deadline_s=30.0), workers=3)

    assert sorted(outcome.request.number for outcome in outcomes) == list(range(7))
    assert server.most_open == 1


def test_a_limit_below_the_number_of_workers_is_kept() -> None:
    with misbehaving(after(0.05)) as server:
        run(job(server.url, deadline_s=30.0, in_flight=1), workers=2)

    assert server.most_open == 1


def test_a_run_may_be_stopped_when_one_of_its_workers_is_done() -> None:
    def first_only(client: Client, number: int) -> bool:
        return for_ever(client, number) if number else well(client, number)

    outcomes = []
    with misbehaving(first_only) as server:
        running = Run(job(server.url, requests=2, deadline_s=60.0), workers=2)
        for batch in running.batches():
            outcomes += batch.outcomes
            if not batch.sending and not batch.in_flight:
                # It is gone by then.
                time.sleep(0.5)
                running.stop()

    assert [outcome.failure for outcome in outcomes] == ["", Failure.STOPPED]
