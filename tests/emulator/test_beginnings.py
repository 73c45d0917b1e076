"""Prompts that begin alike are found, block by block."""

from __future__ import annotations

from enova.emulator.beginnings import Beginnings, Shared, block_hashes

SYSTEM = "You answer in one word. " * 40


def test_a_prompt_has_a_hash_for_each_whole_block_of_about_four_characters_a_token() -> None:
    assert len(block_hashes("x" * 127, 16)) == 1
    assert len(block_hashes("x" * 128, 16)) == 2
    assert len(block_hashes(list(range(33)), 16)) == 2
    assert block_hashes("short", 16) == ()


def test_hashes_are_equal_as_far_as_prompts_are() -> None:
    one, other = block_hashes("a" * 200 + "b" * 200, 16), block_hashes("a" * 200 + "c" * 200, 16)

    assert one[:3] == other[:3]
    assert not set(one[3:]) & set(other[3:])
    assert block_hashes("b" + "a" * 400, 16)[1:] != block_hashes("a" * 401, 16)[1:]


def shared(*prompts: str) -> list[Shared]:
    beginnings = Beginnings(16, 1000)
    return [beginnings.of(block_hashes(prompt, 16)) for prompt in prompts]


def test_prompts_share_what_they_have_in_common_and_a_longer_one_lets_all_of_it_be_found() -> None:
    first, again, longer, other, short = shared(SYSTEM, SYSTEM, SYSTEM + "x" * 640, "Something else. " * 8, "hi")

    assert first == again == Shared(0, 240)
    assert longer == Shared(0, 400)
    assert other == Shared(1, 32)
    assert short == Shared(-1, 0)


def test_prompts_that_part_share_the_beginning_only() -> None:
    assert shared(SYSTEM + "a" * 640, SYSTEM + "b" * 640) == [Shared(0, 400), Shared(0, 240)]


def test_what_is_more_than_a_cache_could_hold_is_forgotten_and_gets_another_number() -> None:
    beginnings = Beginnings(16, 10)
    one, other = block_hashes("a" * 400, 16), block_hashes("b" * 400, 16)

    assert [beginnings.of(hashes).prefix for hashes in (one, other, other, one)] == [0, 1, 1, 2]
