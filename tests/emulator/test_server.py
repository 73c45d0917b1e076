"""What clients see of an emulated engine, over HTTP and with OpenAI's own client."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from prometheus_client.parser import text_string_to_metric_families

from tests.emulator.serving import SLOW, Serve, settings

CHAT: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Who are you?"}]


def gauge(url: str, name: str, **labels: str) -> float:
    text = httpx.get(f"{url}/metrics").text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(s.value for s in samples if s.name == f"vllm:{name}" and labels.items() <= s.labels.items())


def eventually(url: str, name: str, expected: float, **labels: str) -> None:
    deadline_s = time.monotonic() + 5
    while gauge(url, name, **labels) != expected:
        assert time.monotonic() < deadline_s, f"{name} never became {expected}"


def events(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_openais_client_gets_a_completion(serve: Serve) -> None:
    with OpenAI(base_url=serve(settings()) + "/v1", api_key="none", max_retries=0) as client:
        answer = client.completions.create(model="tiny", prompt="12345678", max_tokens=11)

    assert answer.choices[0].text == "[emulated] These words come from an emulated engine, not a model:"
    assert answer.choices[0].finish_reason == "length"
    assert answer.system_fingerprint == "enova-emulated"
    assert answer.usage is not None
    assert (
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
        answer.usage.total_tokens,
    ) == (2, 11, 13)


def test_openais_client_gets_the_same_chat_streamed_and_not(serve: Serve) -> None:
    with OpenAI(base_url=serve(settings()) + "/v1", api_key="none", max_retries=0) as client:
        whole = client.chat.completions.create(model="tiny", messages=CHAT, max_tokens=20)
        chunks = list(
            client.chat.completions.create(
                model="tiny",
                messages=CHAT,
                max_completion_tokens=20,
                stream=True,
                stream_options={"include_usage": True},
            )
        )

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert sum(1 for chunk in chunks if chunk.choices and chunk.choices[0].delta.content) >= 2
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_a_streamed_completion_is_events_that_end_with_done(serve: Serve) -> None:
    body = {"prompt": ["a", [1, 2, 3]], "max_tokens": 6, "stream": True, "ignore_eos": True}

    response = httpx.post(serve(settings()) + "/v1/completions", json=body)

    chunks = events(response)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    assert all("usage" not in chunk for chunk in chunks)
    for index in (0, 1):
        mine = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == index]
        assert "".join(part["text"] for part in mine) == "[emulated] These words come from an"
        assert [part["finish_reason"] for part in mine] == [None] * (len(mine) - 1) + ["length"]


def test_one_answer_holds_a_choice_for_each_prompt(serve: Serve) -> None:
    answer = httpx.post(serve(settings()) + "/v1/completions", json={"prompt": ["a", "b"], "max_tokens": 2}).json()

    assert [(choice["index"], choice["text"]) for choice in answer["choices"]] == [
        (0, "[emulated] These"),
        (1, "[emulated] These"),
    ]


def test_everything_it_answers_says_that_it_is_emulated(serve: Serve) -> None:
    url = serve(settings(served_names=("chat", "sql")))

    answers = [
        httpx.get(url + path) for path in ("/health", "/ping", "/version", "/v1/models", "/metrics", "/nope")
    ]

    assert {answer.headers["x-enova-emulated"] for answer in answers} == {"true"}
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 404]
    assert "emulated" in answers[2].json()["version"]
    assert [(model["id"], model["owned_by"]) for model in answers[3].json()["data"]] == [
        ("chat", "enova-emulated"),
        ("sql", "enova-emulated"),
    ]


def test_errors_are_those_that_openais_client_knows(serve: Serve) -> None:
    url = serve(settings(engine={"max_model_len": 50}))

    with OpenAI(base_url=url + "/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(NotFoundError, match="served here: tiny"):
            client.completions.create(model="other", prompt="hi")
        with pytest.raises(BadRequestError, match="context holds 50 tokens"):
            client.completions.create(model="tiny", prompt="hi", max_tokens=50)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_json_is_a_bad_request(serve: Serve, body: bytes) -> None:
    response = httpx.post(serve(settings()) + "/v1/completions", content=body)

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "BadRequestError"


def test_a_key_opens_the_v1_endpoints_and_the_others_need_none(serve: Serve) -> None:
    url = serve(settings(api_keys=("right", "also right")))

    with OpenAI(base_url=url + "/v1", api_key="wrong", max_retries=0) as client:
        with pytest.raises(AuthenticationError):
            client.models.list()
        assert client.with_options(api_key="also right").models.list().data[0].id == "tiny"
    assert httpx.post(url + "/v1/completions", json={"prompt": "hi"}).status_code == 401
    assert httpx.get(url + "/v1/models", headers={"authorization": "Basic right"}).status_code == 401
    assert httpx.get(url + "/health").status_code == 200
    assert httpx.get(url + "/metrics").status_code == 200


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_slot(serve: Serve, stream: bool) -> None:
    url = serve(settings(speed=SLOW, engine={"max_num_seqs": 1}))
    body = {"prompt": "hi", "stream": stream}

    with httpx.Client() as client, pytest.raises(httpx.ReadTimeout):
        client.post(url + "/v1/completions", json=body, timeout=httpx.Timeout(10, read=0.3))

    eventually(url, "request_success_total", 1, finished_reason="abort")
    assert gauge(url, "num_requests_running") == 0
    assert (
        httpx.post(url + "/v1/completions", json={"prompt": "hi", "max_tokens": 1}, timeout=10).status_code == 200
    )


def test_metrics_say_what_the_cache_is_like_and_what_it_held_of_a_prompt(serve: Serve) -> None:
    url = serve(settings(engine={"block_size": 32, "num_gpu_blocks_override": 2048, "max_model_len": 4096}))
    prompt = "You answer in one word. " * 40

    for question in ("Why?", "Who?"):
        httpx.post(url + "/v1/completions", json={"prompt": prompt + question, "max_tokens": 1})

    assert gauge(url, "cache_config_info", block_size="32", num_gpu_blocks="2047") == 1
    assert gauge(url, "prefix_cache_hits_total") == 224
    assert gauge(url, "prefix_cache_queries_total") == 482


def test_without_prefix_caching_nothing_is_found(serve: Serve) -> None:
    url = serve(settings(engine={"enable_prefix_caching": False}))

    for _ in range(2):
        httpx.post(url + "/v1/completions", json={"prompt": "hi " * 100, "max_tokens": 1})

    assert gauge(url, "cache_config_info", enable_prefix_caching="False") == 1
    assert gauge(url, "prefix_cache_hits_total") == 0
