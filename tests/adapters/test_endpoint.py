"""What an address says it is, against HTTP servers that answer as OpenAI-compatible ones do."""

from __future__ import annotations

import socket

import pytest

from enova.adapters.endpoint import Endpoint, base_of, look_at
from enova.errors import ObserveError, UsageError
from tests.adapters.stub import stub

MODELS = (200, {"object": "list", "data": [{"id": "tiny"}, {"id": "tiny-adapter"}]})


def test_an_endpoint_names_its_models_and_its_version() -> None:
    with stub({"/v1/models": MODELS, "/version": (200, {"version": "0.32.0"})}) as (url, received):
        found = look_at(f"{url}/v1/", "s3cret")

    assert found == Endpoint(url=url, models=("tiny", "tiny-adapter"), vllm="0.32.0", emulated=False)
    assert {authorization for _, authorization, _ in received} == {"Bearer s3cret"}


def test_an_emulated_engine_is_known_by_its_mark() -> None:
    with stub({"/v1/models": MODELS}, {"x-enova-emulated": "true"}) as (url, _):
        found = look_at(url, None)

    assert found == Endpoint(url=url, models=("tiny", "tiny-adapter"), vllm=None, emulated=True)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, "who are you?", "asks for a key: it answered 401"),
        (403, "", "asks for a key: it answered 403"),
        (404, "no such page", "names no model: it answered 404"),
        (200, "<html>", "names no model: it answered 200"),
        (200, {"data": []}, "names no model: it answered 200"),
        (200, ["tiny"], "names no model: it answered 200"),
    ],
)
def test_what_is_no_such_endpoint_is_told_apart(status: int, body: object, words: str) -> None:
    with stub({"/v1/models": (status, body)}) as (url, _), pytest.raises(ObserveError) as caught:
        look_at(url, None)

    assert words in caught.value.message


def test_an_address_where_nobody_listens_cannot_be_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    with pytest.raises(ObserveError, match="cannot be asked"):
        look_at(url, None)


def test_a_key_that_no_header_can_carry_is_not_repeated() -> None:
    with pytest.raises(ObserveError) as caught:
        look_at("http://127.0.0.1:1", "s3cret\n")

    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("https://llm.example.org/v1", "https://llm.example.org"),
        ("https://example.org/llm/v1/", "https://example.org/llm"),
    ],
)
def test_an_address_is_taken_with_and_without_the_apis_path(written: str, base: str) -> None:
    assert base_of(written) == base


@pytest.mark.parametrize(
    "written", ["ftp://example.org", "http://", "http://user:s3cret@example.org", "http://example.org/?key=s3cret"]
)
def test_an_address_that_cannot_be_asked_is_refused_without_repeating_secrets(written: str) -> None:
    with pytest.raises(UsageError) as caught:
        base_of(written)

    assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"
