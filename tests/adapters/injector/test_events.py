"""Streams of events are read the same however their bytes are cut, and every token is counted once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enova.adapters.injector.events import Events
from enova.core.inject.outcome import Failure

USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}
DONE = "data: [DONE]\n\n"


def text(piece: str, reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": piece, "finish_reason": reason}], "usage": None}


def delta(reason: str | None = None, **content: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": content, "finish_reason": reason}]}


def stream(*events: dict[str, Any], end: str = DONE) -> bytes:
    return ("".join(f"data: {json.dumps(event)}\n\n" for event in events) + end).encode()


COMPLETION = stream(text(" a"), text(""), text(" c", "length"), USAGE)
CHAT = stream(delta(role="assistant", content=""), delta(content="Hi"), delta(content="!"), delta("stop"), USAGE)


def read(data: bytes, *cuts: int) -> Events:
    events, start = Events(), 0
    for end in (*cuts, len(data)):
        events.feed(data[start:end])
        start = end
    return events


def told(events: Events) -> tuple[int, int, int, bool, str | None]:
    return events.pieces, events.prompt_tokens, events.completion_tokens, events.whole, events.failure


@pytest.mark.parametrize("data", [COMPLETION, COMPLETION.replace(b"\n", b"\r\n")], ids=["LF", "CRLF"])
def test_a_completion_has_a_token_an_event_whatever_its_text(data: bytes) -> None:
    assert told(read(data)) == (3, 7, 3, True, None)


def test_the_opening_of_a_chat_is_no_token_and_neither_is_an_end_without_text() -> None:
    assert told(read(CHAT)) == (2, 7, 3, True, None)


def test_an_answer_that_ends_with_its_first_token_has_one() -> None:
    assert told(read(stream(text("", "stop")))) == (1, 0, 0, True, None)
    assert told(read(stream(delta("stop", role="assistant", content="Hi")))) == (1, 0, 0, True, None)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_are_tokens(field: str) -> None:
    assert read(stream(delta(**{field: "Hm"}), delta(content="Yes"))).pieces == 2


@pytest.mark.parametrize("data", [COMPLETION, CHAT], ids=["completion", "chat"])
def test_a_stream_may_be_cut_anywhere(data: bytes) -> None:
    whole = told(read(data))

    assert {told(read(data, cut)) for cut in range(len(data))} == {whole}
    assert told(read(data, *range(len(data)))) == whole


@given(st.lists(st.integers(0, len(CHAT)), max_size=8).map(sorted))
def test_a_stream_may_be_cut_often(cuts: list[int]) -> None:
    assert told(read(CHAT, *cuts)) == told(read(CHAT))


def test_comments_and_fields_of_no_interest_are_passed_over() -> None:
    data = b": ping\n\nevent: message\nid: 3\nretry: 10\ndata: " + json.dumps(text("a")).encode() + b"\n\n"

    assert told(read(data)) == (1, 0, 0, False, None)


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (b'data: {"error": {"message": "engine died"}}\n\n', Failure.ERROR),
        (b"data: {nonsense\n\n", Failure.GARBAGE),
        (b"data: [1]\n\n", Failure.GARBAGE),
        (b'data: {"choices": ["x"]}\n\n', Failure.GARBAGE),
        (b'data: {"hello": 1}\n\n', Failure.GARBAGE),
        (b"<html>busy</html>\n", Failure.GARBAGE),
    ],
)
def test_what_is_no_answer_is_told_apart(data: bytes, failure: Failure) -> None:
    assert read(data).failure == failure


def test_the_first_thing_that_is_wrong_is_what_counts() -> None:
    data = b'data: {"error": "x"}\n\ndata: {nonsense\n\n'

    assert read(data).failure == Failure.ERROR


def test_a_stream_is_whole_with_its_end_or_with_a_reason_for_it() -> None:
    assert not read(stream(text("a"), end="")).whole
    assert read(stream(text("a", "length"), end="")).whole
    assert read(stream(text("a"))).whole
