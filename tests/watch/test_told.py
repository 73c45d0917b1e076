"""What is seen often is said once."""

from __future__ import annotations

from enova.watch.told import Told


def test_the_same_about_the_same_is_said_once() -> None:
    said: list[str] = []
    told = Told(said.append)

    assert [told.once("chat", words) for words in ("a", "a", "b", "a")] == [True, False, True, True]
    told.forget("chat")
    assert told.once("chat", "a")
    assert said == ["a", "b", "a", "a"]


def test_what_stands_is_said_when_it_comes_and_when_it_goes() -> None:
    said: list[str] = []
    told = Told(said.append)
    for words in (["a", ""], ["a", "b"], ["b"], []):
        told.standing(words)

    assert said == ["a", "b", "no longer: a", "no longer: b"]
