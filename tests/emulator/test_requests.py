"""OpenAI requests become work, or errors that say what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from enova.emulator.requests import BadRequest, Limits, chat, completion

LIMITS = Limits(models=("tiny", "alias"), max_model_len=100, seed=0)


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("12345678", [2]),
        (["1234", "12345"], [1, 2]),
        ([7, 8, 9], [3]),
        ([[7, 8], [9]], [2, 1]),
    ],
)
def test_a_prompt_is_text_or_token_ids_or_a_list_of_either(prompt: Any, tokens: list[int]) -> None:
    works = completion({"model": "tiny", "prompt": prompt}, LIMITS).works

    assert tokens == [work.prompt_tokens for work in works]
    assert list(range(len(tokens))) == [work.index for work in works]


def test_ignoring_the_end_gives_all_tokens_asked_for() -> None:
    work = completion({"prompt": "hi", "max_tokens": 90, "ignore_eos": True}, LIMITS).works[0]

    assert (work.output_tokens, work.finish_reason) == (90, "length")


def test_an_answer_may_end_by_itself_before_its_limit() -> None:
    roomy = Limits(models=("tiny",), max_model_len=10_000, seed=0)

    work = chat({"messages": [{"role": "user", "content": "hi"}]}, roomy).works[0]

    assert work.output_tokens < work.max_tokens
    assert work.finish_reason == "stop"


def test_a_completion_without_a_limit_gets_16_tokens_and_a_chat_what_the_context_holds() -> None:
    assert completion({"prompt": "1234"}, LIMITS).works[0].max_tokens == 16
    assert chat({"messages": [{"role": "user", "content": "1234"}]}, LIMITS).works[0].max_tokens == 95


def test_a_message_may_be_made_of_parts() -> None:
    parts = [{"type": "text", "text": "12345678"}, {"type": "image_url", "image_url": {"url": "x"}}]

    assert chat({"messages": [{"role": "user", "content": parts}]}, LIMITS).prompt_tokens == 6


def test_equal_requests_get_equal_answers_unless_their_seed_differs() -> None:
    bodies = [{"prompt": "hi", "seed": seed} for seed in (1, 1, 2)]

    first, second, other = (completion(body, LIMITS).works[0].seed for body in bodies)

    assert first == second != other


MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ([], 400, None),
        ({}, 400, "prompt"),
        ({"prompt": []}, 400, "prompt"),
        ({"prompt": ["a", 1]}, 400, "prompt"),
        ({"prompt": {"a": 1}}, 400, "prompt"),
        ({"prompt": "hi", "model": "other"}, 404, "model"),
        ({"prompt": "hi", "model": ["tiny"]}, 404, "model"),
        ({"prompt": "hi", "n": 2}, 400, "n"),
        ({"prompt": "hi", "max_tokens": 0}, 400, "max_tokens"),
        ({"prompt": "hi", "max_tokens": "8"}, 400, "max_tokens"),
        ({"prompt": "hi", "max_tokens": True}, 400, "max_tokens"),
        ({"prompt": "hi", "max_tokens": 100}, 400, "max_tokens"),
        ({"prompt": "x" * 400}, 400, "max_tokens"),
        ({"prompt": "hi", "stream": "yes"}, 400, "stream"),
        ({"prompt": "hi", "stream_options": {"include_usage": True}}, 400, "stream_options"),
        ({"prompt": "hi", "stream": True, "stream_options": 1}, 400, "stream_options"),
    ],
)
def test_a_bad_completion_request_is_refused_with_its_field(body: Any, status: int, param: str | None) -> None:
    with pytest.raises(BadRequest) as refusal:
        completion(body, LIMITS)

    assert (status, param) == (refusal.value.status, refusal.value.param)


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        "hi",
        ["hi"],
        [{}],
        [{"role": "user", "content": 1}],
        [{"role": 1}],
        [{"role": "u", "content": ["x"]}],
    ],
)
def test_bad_messages_are_refused(messages: Any) -> None:
    with pytest.raises(BadRequest) as refusal:
        chat({"messages": messages}, LIMITS)

    assert refusal.value.param == "messages"


def test_a_request_that_does_not_fit_says_how_much_would() -> None:
    with pytest.raises(BadRequest, match="holds 100 tokens; the prompt has 1 and 100 more were asked for"):
        completion({"prompt": "hi", "max_tokens": 100}, LIMITS)
