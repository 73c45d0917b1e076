"""Loads against servers that behave well, late, badly, or not at all: nothing is lost, nothing is hidden."""

from __future__ import annotations

import math
import socket
import time
from typing import Any

import pytest

from enova.core.inject.outcome import Failure
from enova.core.workload.prompts import Prompts
from enova.core.workload.words import WORDS
from tests.adapters.injector.loads import LATE_S, failures, job, load, sent
from tests.adapters.injector.misbehaving import (
    Client,
    after,
    events,
    for_ever,
    misbehaving,
    raw,
    resetting,
    saying,
    streaming,
    well,
)


def test_every_request_is_sent_when_it_is_due_and_answered() -> None:
    with misbehaving(well) as server:
        outcomes = sent(job(server.url))

    assert sorted(outcome.request.number for outcome in outcomes) == list(range(20))
    assert failures(outcomes) == {"": 20}
    assert {(one.prompt_tokens, one.output_tokens) for one in outcomes} == {(5, 4)}
    for one in outcomes:
        assert one.request.arrival_s <= one.sent_s < one.request.arrival_s + LATE_S
        assert one.sent_s <= one.first_s <= one.last_s
    assert {body["max_tokens"] for body in server.bodies} == {4}
    assert all(len(body["prompt"]) == 5 and body["stream"] and body["ignore_eos"] for body in server.bodies)


def test_connections_are_kept() -> None:
    with misbehaving(well) as server:
        outcomes = sent(job(server.url, load(1.0)))

    assert failures(outcomes) == {"": 40}
    assert server.connections <= server.most_open + 2


def test_a_used_connection_that_hangs_up_is_no_failure_if_a_fresh_one_answers() -> None:
    def behaviour(client: Client, number: int) -> bool:
        return well(client, number) if client.turns == 1 else resetting(client, number)

    with misbehaving(behaviour) as server:
        outcomes = sent(job(server.url))

    assert failures(outcomes) == {"": 20}
    assert len(server.heads) > 20


def test_a_request_is_tried_no_more_than_twice() -> None:
    def behaviour(client: Client, number: int) -> bool:
        return well(client, number) if number == 0 else resetting(client, number)

    with misbehaving(behaviour) as server:
        outcomes = sent(job(server.url, load(1.0, {"process": "constant", "rate": "5/s"}), requests=3))

    assert failures(outcomes) == {"": 1, Failure.RESET: 2}
    assert len(server.heads) == 4


def test_users_whose_turn_never_comes_ask_again_and_the_run_ends() -> None:
    users = {"process": "closed_loop", "users": 2}

    with misbehaving(for_ever) as server:
        outcomes = sent(job(server.url, load(0.5, users), deadline_s=0.8, in_flight=1))

    assert failures(outcomes) == {Failure.TIMEOUT: 1, Failure.NOT_SENT: 1}


def test_a_stall_shows_in_latency_from_the_schedule_and_holds_nothing_back() -> None:
    began_s: list[float] = []

    def stalls(client: Client, number: int) -> bool:
        """Between a quarter of a second and one and a quarter nothing is answered."""
        began_s.append(time.monotonic())
        since_s = time.monotonic() - began_s[0]
        client.wait(max(0.0, 1.25 - since_s) if since_s > 0.25 else 0.0)
        return well(client, number)

    with misbehaving(stalls) as server:
        outcomes = sent(job(server.url, load(2.0)))

    assert failures(outcomes) == {"": 80}
    assert max(one.sent_s - one.request.arrival_s for one in outcomes) < LATE_S
    slow = [one for one in outcomes if 0.4 < one.request.arrival_s < 0.9]
    assert min(one.last_s - one.request.arrival_s for one in slow) > 0.2
    assert max(one.last_s - one.request.arrival_s for one in slow) > 0.7


def test_a_client_that_may_not_send_sees_the_stall_from_the_schedule_only() -> None:
    with misbehaving(after(0.1)) as server:
        outcomes = sent(job(server.url, in_flight=1, deadline_s=30.0))

    assert failures(outcomes) == {"": 20}
    assert server.most_open == 1
    last = max(outcomes, key=lambda one: one.request.number)
    assert last.last_s - last.sent_s < 1.0
    assert last.last_s - last.request.arrival_s > 1.4


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (resetting, Failure.RESET),
        (raw(b""), Failure.RESET),
        (saying("429 Too Many Requests"), "http_429"),
        (saying("500 Internal Server Error"), "http_500"),
        (saying("302 Found", b"", b"location: /elsewhere\r\n"), "http_302"),
        (streaming(events()[0]), Failure.CUT_OFF),
        (streaming(events()[0], keep=True), Failure.CUT_OFF),
        (streaming(b"data: {nonsense\n\n", keep=True), Failure.GARBAGE),
        (streaming(events()[0], b'data: {"error": "engine died"}\n\ndata: [DONE]\n\n', keep=True), "error"),
        (raw(b"SSH-2.0-OpenSSH\r\n\r\n"), Failure.GARBAGE),
        (saying("200 OK", b"<html>"), Failure.GARBAGE),
    ],
    ids=["reset", "closed", "429", "500", "302", "cut", "ended", "garbage", "error", "no HTTP", "no stream"],
)  # fmt: skip
def test_every_failure_is_counted_by_its_kind_and_none_is_lost(behaviour: Any, kind: str) -> None:
    with misbehaving(behaviour) as server:
        outcomes = sent(job(server.url))

    assert failures(outcomes) == {kind: 20}


def test_failures_among_answers_are_told_apart() -> None:
    kinds = [well, saying("429 Busy"), resetting, streaming(events()[0])]

    with misbehaving(lambda client, number: kinds[number % 4](client, number)) as server:
        outcomes = sent(job(server.url, load(1.0)))

    found = failures(outcomes)
    assert sum(found.values()) == 40
    # A connection that was used before and is reset without a word may have been idle too long: asked once more.
    assert set(found) >= {"", "http_429", "cut_off"}


def test_where_nobody_listens_requests_are_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    assert failures(sent(job(url))) == {Failure.REFUSED: 20}


def test_a_server_that_hangs_is_given_up_at_the_deadline() -> None:
    began_s = time.monotonic()
    with misbehaving(for_ever) as server:
        outcomes = sent(job(server.url, deadline_s=1.0))

    assert failures(outcomes) == {Failure.TIMEOUT: 20}
    for one in outcomes:
        assert 1.0 <= one.last_s - one.request.arrival_s < 1.0 + LATE_S
    assert time.monotonic() - began_s < 10.0


def test_what_cannot_be_sent_before_its_deadline_is_not_sent() -> None:
    with misbehaving(for_ever) as server:
        burst = load(0.05, {"process": "constant", "rate": "400/s"})
        outcomes = sent(job(server.url, burst, in_flight=1, deadline_s=0.6))

    found = failures(outcomes)
    assert sum(found.values()) == 20
    assert set(found) == {Failure.TIMEOUT, Failure.NOT_SENT}
    assert all(math.isnan(one.sent_s) for one in outcomes if one.failure == Failure.NOT_SENT)


def test_a_connection_that_was_closed_while_idle_is_no_failure() -> None:
    def closes(client: Client, number: int) -> bool:
        well(client, number)
        # It says nothing of that beforehand.
        client.wait(0.05)
        return False

    with misbehaving(closes) as server:
        outcomes = sent(job(server.url, load(1.0, {"process": "constant", "rate": "10/s"})))

    assert failures(outcomes) == {"": 10}


def test_answers_that_end_with_their_connection_are_whole() -> None:
    body = b"".join(events())

    with misbehaving(raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + body)) as server:
        outcomes = sent(job(server.url))

    assert failures(outcomes) == {"": 20}


def test_answers_in_one_piece_have_no_first_token_of_their_own() -> None:
    whole = b'{"choices": [{"text": "x"}], "usage": {"prompt_tokens": 5, "completion_tokens": 4}}'

    with misbehaving(saying("200 OK", whole)) as server:
        outcomes = sent(job(server.url, stream=False))

    assert failures(outcomes) == {"": 20}
    assert all(one.first_s == one.last_s and one.output_tokens == 4 for one in outcomes)
    assert all("stream_options" not in body for body in server.bodies)


@pytest.mark.parametrize(
    ("body", "kind"), [(b"<html>", Failure.GARBAGE), (b"{}", Failure.GARBAGE), (b'{"error": 1}', Failure.ERROR)]
)
def test_what_is_no_answer_in_one_piece_is_told_apart(body: bytes, kind: Failure) -> None:
    with misbehaving(saying("200 OK", body)) as server:
        assert failures(sent(job(server.url, stream=False))) == {kind: 20}


def test_a_chat_is_a_message_of_words() -> None:
    with misbehaving(well) as server:
        sent(job(server.url, api="chat", prompts=Prompts(words=WORDS), body={"temperature": 0}))

    message = server.bodies[0]["messages"][0]
    assert message["role"] == "user"
    assert len(message["content"].split()) == 5
    assert server.bodies[0]["temperature"] == 0
    assert server.heads[0].startswith("POST /v1/chat/completions HTTP/1.1\r\n")
