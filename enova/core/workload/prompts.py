"""Prompts of given lengths, made up or from a dataset; the same seed and request make the same prompt.

A made-up prompt is a slice of one long random text, from a place that depends on the request, behind a few tokens
that are the request's number. So no two prompts begin alike unless they are to, and none costs a random generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from enova.core.workload.request import Request
from enova.core.workload.sources import stream

Prompt = str | list[int]
"""Text, or token ids."""

POOL = 1 << 20
"""Tokens of the long text."""
_STRIDE = 104_729
"""From one request's place in it to the next one's: a prime, so that all places are taken before one is again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Where prompts come from: token ids, words of one token each, or the texts of a dataset."""

    seed: int = 0
    ids: tuple[int, int] = (10, 250)
    """Token ids are drawn from here, both ends included; every vocabulary has these."""
    words: tuple[str, ...] = ()
    """Given: prompts are text, and each word is one token of it."""
    between: str = " "
    """What stands between two words, without being a token of its own."""
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By class of request, the prompts of its dataset, by row."""
    overhead_tokens: int = 0
    """What the server puts around each prompt, such as a chat template."""

    def of(self, request: Request) -> Prompt:
        """Return the prompt of a request."""
        if request.row >= 0 and (texts := self.texts.get(request.kind)):
            return texts[request.row]
        if self.words:
            length = max(1, request.prompt_tokens - self.overhead_tokens)
            places = self._places(request, length, 0, len(self.words) - 1)
            return self.between.join([self.words[place] for place in places])
        return self._places(request, request.prompt_tokens, *self.ids)

    def _places(self, request: Request, length: int, low: int, high: int) -> list[int]:
        """Return so many numbers between two, both included: those of the shared beginning, then its own."""
        shared = min(request.prefix_tokens, length) if request.prefix >= 0 else 0
        pool = _pool(self.seed, low, high)
        places = _slice(pool, request.prefix * _STRIDE + POOL // 2, shared)
        if shared < length:
            places += _number(request.number, low, high, length - shared)
            places += _slice(pool, request.number * _STRIDE, length - len(places))
        return places


def _number(number: int, low: int, high: int, most: int) -> list[int]:
    """Return a number as digits between two numbers, the lowest first, and not more than `most` of them."""
    base = high - low + 1
    digits = []
    while True:
        digits.append(low + number % base)
        number //= base
        if not number or len(digits) == most:
            return digits[:most]


def _slice(pool: list[int], start: int, length: int) -> list[int]:
    start %= len(pool)
    found = pool[start : start + length]
    while len(found) < length:
        found += pool[: length - len(found)]
    return found


@lru_cache(maxsize=4)
def _pool(seed: int, low: int, high: int) -> list[int]:
    """Return the long text. Each process makes its own, the first time."""
    drawn: list[int] = stream(seed, "prompts").integers(low, high, POOL, endpoint=True).tolist()
    return drawn
