"""Streams as vLLM sends them, and as they go wrong, read however the bytes are cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enova.adapters.injector.events import Events
from enova.core.inject.outcome import Failure

USAGE = {"prompt_tokens": 7, "total_tokens": 10, "completion_tokens": 3}


class Read(NamedTuple):
    """What was found in a stream."""

    pieces: int
    whole: bool
    failure: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


def event(value: Any, end: str = "\n\n") -> bytes:
    return f"data: {json.dumps(value)}{end}".encode()


def text(piece: str, finish_reason: str | None = None, **more: Any) -> bytes:
    """A piece of a completion."""
    choice = {"index": 0, "text": piece, "logprobs": None, "finish_reason": finish_reason, "stop_reason": None}
    return event({"id": "cmpl-1", "object": "text_completion", "model": "tiny", "choices": [choice], **more})


def chat(delta: Any, finish_reason: str | None = None) -> bytes:
    """A piece of a chat."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "tiny", "choices": [choice]})


OPENING = chat({"role": "assistant", "content": ""})
USED = event({"id": "cmpl-1", "model": "tiny", "choices": [], "usage": USAGE})
DONE = b"data: [DONE]\n\n"
ERROR = event(
    {"error": {"message": "EngineCore encountered an issue", "type": "InternalServerError", "code": 500}}
)

STREAMS = {
    "completion": (text("a") + text(" é漢") + text("c", "length") + USED + DONE, Read(3, True, None, 7, 3)),
    "completion_of_one_token": (text("a", "length") + USED + DONE, Read(1, True, None, 7, 3)),
    "empty_texts_are_tokens": (text("") + text("") + text("c", "length") + DONE, Read(3, True)),
    "only_token_is_empty": (text("", "stop") + DONE, Read(1, True)),
    "last_token_is_half_a_letter": (
        text("a") + text("b") + text("", "length") + USED + DONE,
        Read(3, True, None, 7, 3),
    ),
    "usage_with_every_piece": (
        text("a", usage={"prompt_tokens": 7, "completion_tokens": 1})
        + text("b", "length", usage={"prompt_tokens": 7, "completion_tokens": 2})
        + USED
        + DONE,
        Read(2, True, None, 7, 3),
    ),
    "usage_is_null_until_the_end": (text("a", usage=None) + text("b", "stop", usage=None) + DONE, Read(2, True)),
    "chat": (
        OPENING + chat({"content": "a"}) + chat({"content": ""}) + chat({"content": "c"}, "length") + USED + DONE,
        Read(3, True, None, 7, 3),
    ),
    "chat_that_thinks": (
        OPENING + chat({"reasoning_content": "hm"}) + chat({"reasoning": "hm"}) + chat({}, "stop") + DONE,
        Read(3, True),
    ),
    "chat_that_calls_tools": (
        OPENING + chat({"tool_calls": [{"index": 0}]}) + chat({"content": ""}, "tool_calls") + DONE,
        Read(2, True),
    ),
    "chat_whose_opening_speaks": (chat({"role": "assistant", "content": "a"}, "stop") + DONE, Read(1, True)),
    "nothing": (b"", Read(0, False)),
    "only_the_opening": (OPENING, Read(0, False)),
    "ends_without_done": (text("a") + text("b", "stop"), Read(2, True)),
    "ends_without_a_reason": (text("a") + text("b") + DONE, Read(2, True)),
    "cut_off": (text("a") + text("b"), Read(2, False)),
    "error": (text("a") + ERROR + DONE, Read(1, True, Failure.ERROR)),
    "not_json": (text("a") + b"data: {nope\n\n" + text("b", "stop") + DONE, Read(2, True, Failure.GARBAGE)),
    "not_utf8": (b'data: {"choices": "\xff"}\n\n' + DONE, Read(0, True, Failure.GARBAGE)),
    "not_an_object": (event([1, 2]) + DONE, Read(0, True, Failure.GARBAGE)),
    "without_choices": (event({"id": "cmpl-1"}) + DONE, Read(0, True, Failure.GARBAGE)),
    "choices_are_null": (event({"choices": None}) + DONE, Read(0, True, Failure.GARBAGE)),
    "choice_is_no_object": (event({"choices": ["a"]}) + DONE, Read(0, True, Failure.GARBAGE)),
    "choices_are_an_object": (event({"choices": {"text": "a"}}) + DONE, Read(0, True, Failure.GARBAGE)),
    "choices_are_a_number": (event({"choices": 3}) + DONE, Read(0, True, Failure.GARBAGE)),
    "usage_is_no_object": (text("a", "stop", usage="much") + DONE, Read(1, True)),
    "usage_is_no_number": (text("a", "stop", usage={"prompt_tokens": "7"}) + DONE, Read(1, True)),
    "html": (b"<html>\n<body>welcome</body>\n</html>\n", Read(0, False, Failure.GARBAGE)),
    "html_without_a_line": (b"<html>welcome</html>", Read(0, False, Failure.GARBAGE)),
    "answer_in_one_piece": (b'{"choices": [{"text": "a"}]}', Read(0, False, Failure.GARBAGE)),
    "cut_off_in_an_event": (text("a") + text("b")[:-9], Read(1, False)),
    "cut_off_in_a_name": (text("a") + b"dat", Read(1, False)),
    "the_first_failure_counts": (ERROR + b"data: {nope\n\n" + DONE, Read(0, True, Failure.ERROR)),
    "comments": (b": ping\n\n" + text("a") + b":\n\n" + text("b", "stop") + DONE, Read(2, True)),
    "other_fields": (
        b"event: message\nid: 1\nretry: 10\n" + text("a") + b"event: end\n" + text("b", "stop") + DONE,
        Read(2, True),
    ),
    "without_a_space": ((text("a") + text("b", "stop") + DONE).replace(b"data: ", b"data:"), Read(2, True)),
}

NAMES = st.sampled_from(["choices", "usage", "error", "delta", "text", "finish_reason", "role", "content"])
JSON = st.recursive(
    st.none() | st.integers(-5, 5) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
)


@pytest.fixture(params=STREAMS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_stream_is_read_as_it_was_meant(name: str) -> None:
    data, expected = STREAMS[name]

    assert read([data]) == expected


def test_lines_may_end_with_carriage_return_and_line_feed(name: str) -> None:
    data, expected = STREAMS[name]

    assert read([data.replace(b"\n", b"\r\n")]) == expected


def test_it_does_not_matter_where_a_stream_is_cut(name: str) -> None:
    data, expected = STREAMS[name]
    data = data.replace(b"\n\n", b"\r\n\r\n", 1)

    found = {read([data[:place], data[place:]]) for place in range(len(data) + 1)}

    assert found == {expected}


def test_a_stream_may_come_byte_by_byte(name: str) -> None:
    data, expected = STREAMS[name]

    assert read([bytes([byte]) for byte in data]) == expected


@given(st.sampled_from(sorted(STREAMS)), st.lists(st.floats(0, 1), max_size=8))
def test_it_does_not_matter_how_often_a_stream_is_cut(name: str, cuts: list[float]) -> None:
    data, expected = STREAMS[name]
    places = [0, *sorted(round(cut * len(data)) for cut in cuts), len(data)]

    assert read([data[start:end] for start, end in pairwise(places)]) == expected


@given(st.binary(max_size=200))
def test_whatever_comes_raises_nothing(data: bytes) -> None:
    events = Events()
    events.feed(b"data: " + data + b"\n")
    events.feed(data)

    assert events.pieces in (0, 1, 2)


@given(JSON)
def test_whatever_json_comes_raises_nothing(value: Any) -> None:
    Events().feed(event(value))


def read(chunks: list[bytes]) -> Read:
    """Feed the chunks; what each call returns has to add up to all pieces."""
    events = Events()
    pieces = sum(events.feed(chunk) for chunk in chunks)
    events.end()
    assert pieces == events.pieces
    return Read(pieces, events.whole, events.failure, events.prompt_tokens, events.completion_tokens)
