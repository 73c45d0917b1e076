"""What the emulated engine says."""

from __future__ import annotations

from itertools import islice

from enova.emulator.words import LONGEST, SHORTEST, answer, count_tokens, natural_tokens


def test_every_answer_begins_by_saying_that_it_is_emulated() -> None:
    text = "".join(islice(answer("any"), 11))

    assert text == "[emulated] These words come from an emulated engine, not a model:"


def test_equal_seeds_say_the_same_and_others_do_not() -> None:
    first, second, other = (list(islice(answer(seed), 40)) for seed in ("a", "a", "b"))

    assert first == second
    assert first != other


def test_an_answer_ends_by_itself_after_a_length_that_its_seed_fixes() -> None:
    lengths = [natural_tokens(str(seed)) for seed in range(500)]

    assert lengths == [natural_tokens(str(seed)) for seed in range(500)]
    assert min(lengths) >= SHORTEST
    assert max(lengths) <= LONGEST
    assert len(set(lengths)) > 100


def test_four_characters_are_about_one_token() -> None:
    assert [count_tokens(text) for text in ("", "a", "abcd", "abcde", "x" * 100)] == [1, 1, 1, 2, 25]
