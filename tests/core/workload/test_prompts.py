"""Prompts have the length that was asked for, share what they are to share, and nothing else."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest

from enova.core.workload.prompts import POOL, Prompts
from enova.core.workload.request import Request
from enova.core.workload.words import WORDS

BLOCK = 16
"""Tokens that prefix caches keep together."""


USUAL = Prompts(seed=3)


def ids(request: Request, prompts: Prompts = USUAL) -> list[int]:
    found = prompts.of(request)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("tokens", [1, 2, 15, 512, 5000, POOL + 3])
def test_ids_are_as_many_as_asked_for_and_within_bounds(tokens: int) -> None:
    found = ids(Request(7, 0.0, tokens, 1), Prompts(ids=(100, 120)))

    assert len(found) == tokens
    assert min(found) >= 100
    assert max(found) <= 120


def test_the_same_seed_and_request_make_the_same_prompt() -> None:
    request = Request(12, 0.0, 64, 1)

    assert ids(request) == ids(request, pickle.loads(pickle.dumps(Prompts(seed=3))))
    assert ids(request) != ids(request, Prompts(seed=4))


def test_no_two_requests_begin_alike() -> None:
    begun = Counter(tuple(ids(Request(number, 0.0, 64, 1))[:BLOCK]) for number in range(20_000))

    assert max(begun.values()) == 1


def test_a_shared_prefix_is_shared_whole_and_no_further() -> None:
    first, second = (ids(Request(number, 0.0, 80, 1, prefix=2, prefix_tokens=48)) for number in (1, 2))
    other = ids(Request(3, 0.0, 80, 1, prefix=5, prefix_tokens=48))

    assert first[:48] == second[:48]
    assert first[48 : 48 + BLOCK] != second[48 : 48 + BLOCK]
    assert first[:BLOCK] != other[:BLOCK]


def test_a_longer_prefix_begins_with_the_shorter() -> None:
    short, long = (ids(Request(1, 0.0, 200, 1, prefix=0, prefix_tokens=tokens)) for tokens in (32, 160))

    assert long[:32] == short[:32]
    assert ids(Request(9, 0.0, 160, 1, prefix=0, prefix_tokens=160)) == long[:160]


def test_words_are_as_many_as_the_server_leaves_room_for() -> None:
    prompts = Prompts(words=WORDS, overhead_tokens=12)

    texts = [prompts.of(Request(number, 0.0, 100, 1)) for number in range(3)]

    assert {len(str(text).split(" ")) for text in texts} == {88}
    assert len(set(texts)) == 3
    assert prompts.of(Request(0, 0.0, 5, 1)) in WORDS


def test_prompts_of_a_dataset_are_sent_as_they_are() -> None:
    prompts = Prompts(texts={"chat": ("one", "two")})

    assert prompts.of(Request(0, 0.0, 9, 1, "chat", row=1)) == "two"
    # Of another class, and without a row, they are made up.
    assert len(prompts.of(Request(0, 0.0, 9, 1, "code", row=1))) == 9
    assert len(prompts.of(Request(0, 0.0, 9, 1, "chat"))) == 9


def test_a_prompt_does_not_make_its_pickle_grow() -> None:
    prompts = Prompts()
    prompts.of(Request(0, 0.0, 512, 1))

    assert len(pickle.dumps(prompts)) < 1000
