"""Outcomes from the heads and bodies of answers, and the bytes that ask for them."""

from __future__ import annotations

import json
import math
from array import array
from typing import Any

import pytest

from enova.adapters.injector.body import address_of, asking
from enova.adapters.injector.exchange import Exchange
from enova.core.inject.job import Target
from enova.core.inject.outcome import Failure, Outcome
from enova.core.workload.prompts import Prompts
from enova.core.workload.request import Request
from enova.errors import ApplyError

REQUEST = Request(4, 1.0, 5, 3)
TOKEN = b'data: {"choices": [{"text": "a", "finish_reason": null}]}\n\n'
LAST = b'data: {"choices": [{"text": "a", "finish_reason": "length"}]}\n\n'
USED = b'data: {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}\n\n'
DONE = b"data: [DONE]\n\n"
WHOLE = {"choices": [{"text": "abc"}], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}


def test_a_stream_has_a_first_and_a_last_token_and_gaps_between_them() -> None:
    exchange, gaps_s = started()
    for now_s, data in ((1.5, TOKEN), (1.75, TOKEN[:9]), (2.0, TOKEN[9:]), (2.5, LAST), (3.0, USED + DONE)):
        exchange.body(data, now_s)
    exchange.complete(3.0)

    assert (exchange.outcome, gaps_s.tolist()) == (Outcome(REQUEST, 1.25, 1.5, 2.5, 5, 3), [0.5, 0.5])


def test_tokens_that_come_together_have_no_time_between_them() -> None:
    exchange, gaps_s = started()
    exchange.body(TOKEN + TOKEN, 2.0)
    exchange.body(TOKEN + LAST + DONE, 3.0)
    exchange.complete(3.0)

    assert (exchange.outcome, gaps_s.tolist()) == (Outcome(REQUEST, 1.25, 2.0, 3.0, 0, 4), [0.0, 1.0, 0.0])


def test_pieces_are_counted_where_the_server_does_not_count() -> None:
    assert outcome_of(200, TOKEN + LAST + DONE).output_tokens == 2


def test_the_servers_count_goes_before_the_number_of_pieces() -> None:
    assert outcome_of(200, TOKEN + LAST + USED + DONE).output_tokens == 3


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (200, LAST + DONE, ""),
        (200, LAST, ""),
        (200, DONE, Failure.GARBAGE),
        (200, TOKEN, Failure.CUT_OFF),
        (200, b"", Failure.CUT_OFF),
        (200, b'data: {"error": {"message": "no"}}\n\n' + DONE, Failure.ERROR),
        (200, b"data: nope\n\n" + LAST + DONE, Failure.GARBAGE),
        (200, b"<html>", Failure.GARBAGE),
        (200, json.dumps(WHOLE).encode(), Failure.GARBAGE),
        (204, b"", "http_204"),
        (302, b"", "http_302"),
        (429, b'{"error": "slow down"}', "http_429"),
        (500, LAST + DONE, "http_500"),
    ],
)
def test_a_stream_ends_in_an_answer_or_a_failure(status: int, body: bytes, failure: str) -> None:
    assert outcome_of(status, body).failure == failure


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (200, json.dumps(WHOLE).encode(), ""),
        (200, b'{"choices": [{"text": ""}]}', ""),
        (200, b'{"choices": []}', Failure.GARBAGE),
        (200, b'{"error": {"message": "no"}}', Failure.ERROR),
        (200, b"[]", Failure.GARBAGE),
        (200, b"", Failure.GARBAGE),
        (200, b"<html>", Failure.GARBAGE),
        (201, json.dumps(WHOLE).encode(), "http_201"),
        (503, b"", "http_503"),
    ],
)
def test_an_answer_in_one_piece_is_one_or_a_failure(status: int, body: bytes, failure: str) -> None:
    assert outcome_of(status, body, stream=False).failure == failure


def test_an_answer_in_one_piece_has_one_time_however_it_comes() -> None:
    exchange, gaps_s = started(stream=False)
    body = json.dumps(WHOLE).encode()
    exchange.body(body[:9], 2.0)
    exchange.body(body[9:], 3.0)
    exchange.complete(3.0)

    assert (exchange.outcome, gaps_s.tolist()) == (Outcome(REQUEST, 1.25, 3.0, 3.0, 5, 3), [])


def test_a_failure_comes_when_it_came_and_not_with_the_last_token() -> None:
    exchange, _ = started()
    exchange.body(TOKEN, 2.0)
    exchange.fail(Failure.TIMEOUT, 9.0)

    assert exchange.outcome == Outcome(REQUEST, 1.25, 2.0, 9.0, 0, 1, Failure.TIMEOUT)


def test_an_exchange_ends_once() -> None:
    exchange, _ = started()
    exchange.fail(Failure.STOPPED, 2.0)
    exchange.body(LAST + DONE, 3.0)
    exchange.complete(3.0)
    exchange.fail(Failure.RESET, 4.0)

    assert exchange.outcome is not None
    assert (exchange.outcome.failure, exchange.outcome.last_s) == (Failure.STOPPED, 2.0)


def test_without_a_token_there_is_no_first_one() -> None:
    assert math.isnan(outcome_of(500, b"").first_s)


@pytest.mark.parametrize(
    ("target", "head", "body"),
    [
        (
            Target(url="http://127.0.0.1:8000", model="tiny"),
            "POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1:8000",
            {
                "model": "tiny",
                "stream": True,
                "stream_options": {"include_usage": True},
                "ignore_eos": True,
                "prompt": [7, 7, 7, 7, 7],
                "max_tokens": 3,
            },
        ),
        (
            Target(
                url="https://user:word@example.com/base/",
                model="tiny",
                api="chat",
                stream=False,
                ignore_eos=False,
                body={"temperature": 0},
            ),
            "POST /base/v1/chat/completions HTTP/1.1\r\nhost: example.com",
            {
                "temperature": 0,
                "model": "tiny",
                "stream": False,
                "messages": [{"role": "user", "content": [7, 7, 7, 7, 7]}],
                "max_tokens": 3,
            },
        ),
    ],
)
def test_a_request_asks_for_what_is_wanted(target: Target, head: str, body: Any) -> None:
    asked = asking(target, Prompts(ids=(7, 7)))(REQUEST).decode()
    found, _, sent = asked.partition("\r\n\r\n")

    assert found.startswith(f"{head}\r\n")
    assert f"content-length: {len(sent)}" in found.split("\r\n")
    assert "authorization" not in found
    assert json.loads(sent) == body


def test_the_key_is_in_a_header_and_not_in_what_a_target_says_of_itself() -> None:
    target = Target(url="http://127.0.0.1:8000", model="tiny", key="s3cret")

    assert b"\r\nauthorization: Bearer s3cret\r\n" in asking(target, Prompts())(REQUEST)
    assert "s3cret" not in repr(target)


@pytest.mark.parametrize("key", ["", "s3cret\n", "s3crét", "s3\x00cret"])
def test_a_key_no_header_can_carry_is_refused_without_quoting_it(key: str) -> None:
    with pytest.raises(ApplyError, match="the API key is empty or holds characters") as caught:
        asking(Target(url="http://127.0.0.1:1", model="tiny", key=key), Prompts())

    assert "s3" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "secure"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1", 8000, False),
        ("http://example.com", "example.com", 80, False),
        ("https://example.com/base", "example.com", 443, True),
        ("http://[::1]:8000", "::1", 8000, False),
    ],
)
def test_the_address_is_that_of_the_url(url: str, host: str, port: int, secure: bool) -> None:
    address = address_of(Target(url=url, model="tiny"))

    assert (address.host, address.port, address.tls is not None) == (host, port, secure)


def started(*, stream: bool = True, status: int = 200) -> tuple[Exchange, array[float]]:
    gaps_s = array("d")
    exchange = Exchange(REQUEST, b"", gaps_s, stream=stream)
    exchange.sent_s = 1.25
    exchange.head(status, emulated=False)
    return exchange, gaps_s


def outcome_of(status: int, body: bytes, *, stream: bool = True) -> Outcome:
    exchange, _ = started(stream=stream, status=status)
    if body:
        exchange.body(body, 2.0)
    exchange.complete(3.0)
    assert exchange.outcome is not None
    return exchange.outcome
