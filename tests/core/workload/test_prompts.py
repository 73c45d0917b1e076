"""Made-up prompts are as long as asked, alike where they shall be, and of their own everywhere else."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import cast

import pytest

from enova.core.workload.prompts import Prompts
from enova.core.workload.request import Request

WORDS = tuple(f"w{number}" for number in range(150))


def request(
    number: int, tokens: int = 100, prefix: int = -1, shared: int = 0, kind: str = "", row: int = -1
) -> Request:
    return Request(number, 0.0, tokens, 1, kind, prefix, shared, row)


def tokens(prompts: Prompts, asked: Request) -> list[object]:
    found = prompts.of(asked)
    return list(found.split(" ") if isinstance(found, str) else found)


BOTH = pytest.mark.parametrize("prompts", [Prompts(), Prompts(words=WORDS)], ids=["ids", "words"])


@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 16, 512, 2**20 + 5000, 2**21 + 5000])
@BOTH
def test_prompts_are_exactly_as_long_as_asked(prompts: Prompts, length: int) -> None:
    for shared in (0, 1, length // 2, length):
        assert len(tokens(prompts, request(3, length, 1, shared))) == length


def test_ids_are_within_bounds_and_all_of_them_occur() -> None:
    assert set(Prompts(ids=(100, 110)).of(request(0, 5000))) == set(range(100, 111))


@pytest.mark.parametrize(("length", "words"), [(100, 91), (10, 1), (5, 1)])
def test_what_the_server_adds_is_left_out_of_texts(length: int, words: int) -> None:
    assert len(tokens(Prompts(words=WORDS, overhead_tokens=9), request(0, length))) == words
    assert len(tokens(Prompts(words=WORDS, overhead_tokens=9), request(0, length, 0, length))) == words
    assert len(Prompts(overhead_tokens=9).of(request(0, length))) == length


@BOTH
def test_the_same_seed_and_request_make_the_same_prompt_and_others_another(prompts: Prompts) -> None:
    other = Prompts(seed=1, words=prompts.words)

    assert prompts.of(request(7)) == pickle.loads(pickle.dumps(prompts)).of(request(7))
    assert tokens(prompts, request(7))[:16] != tokens(other, request(7))[:16]


@BOTH
def test_a_pool_is_not_sent_to_other_processes(prompts: Prompts) -> None:
    prompts.of(request(0))

    assert len(pickle.dumps(prompts)) < 5000


@BOTH
def test_no_two_requests_begin_alike_even_if_they_are_short(prompts: Prompts) -> None:
    for length in (3, 20):
        seen = {tuple(tokens(prompts, request(number, length))[:16]) for number in range(50_000)}
        assert len(seen) == 50_000
    far = {tuple(tokens(prompts, request(number * 2**20, 16))) for number in range(1000)}
    assert len(far) == 1000


@BOTH
def test_a_shared_prefix_is_shared_and_nothing_else(prompts: Prompts) -> None:
    short, long = (tokens(prompts, request(number, 200, 4, shared)) for number, shared in ((1, 60), (2, 120)))
    other = tokens(prompts, request(3, 200, 5, 60))

    assert short[:60] == long[:60]
    assert short[60:76] != long[60:76]
    assert short[:16] != other[:16]
    assert tokens(prompts, request(9, 60, 4, 60)) == short[:60]
    ends = {tuple(tokens(prompts, request(number, 100, number % 3, 50))[50:66]) for number in range(5000)}
    assert len(ends) == 5000


@BOTH
def test_a_prefix_is_like_no_prompt_without_one(prompts: Prompts) -> None:
    starts = {tuple(tokens(prompts, request(number, 16))) for number in range(1000)}
    prefixes = {tuple(tokens(prompts, request(0, 16, prefix, 16))) for prefix in range(1000)}

    assert len(starts | prefixes) == 2000


def test_a_dataset_s_texts_are_sent_as_they_are() -> None:
    prompts = Prompts(texts={"chat": ("one", "two")})

    assert prompts.of(request(0, 50, kind="chat", row=1)) == "two"
    assert len(prompts.of(request(0, 50, kind="chat"))) == 50
    assert len(prompts.of(request(0, 50, kind="code", row=1))) == 50


def test_few_words_or_ids_do_for_prompts_of_their_own() -> None:
    prompts = Prompts(ids=(1, 8))
    starts = {tuple(cast("list[int]", prompts.of(request(number, 16)))) for number in range(10_000)}

    assert len(starts) == 10_000
    assert Prompts(words=("a",)).of(request(5, 3)) == "a a a"


@BOTH
def test_memory_does_not_grow_with_requests(prompts: Prompts) -> None:
    prompts.of(request(0))
    tracemalloc.start()
    for number in range(5000):
        prompts.of(request(number, 200, number, 50))
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert grown < 50_000
