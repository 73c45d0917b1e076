"""Prompts of given lengths, made up or from a dataset; the same seed and request make the same prompt.

Made-up prompts are stretches of one pool of random tokens, so they cost little. Each begins, after what it
shares with others, with its number in a few tokens: no engine finds the rest of it in its cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from enova.core.workload.request import Request
from enova.core.workload.sources import stream

Prompt = str | list[int]
"""Text, or token ids."""

_POOL = 2**20
_SPREAD = 0x9E3779B1
"""Odd, so that numbers that follow each other have places in the pool far apart, all different."""
_NUMBERS = 2**40
"""More than there will be requests."""
_MOST_DIGITS = 16
"""Engines look for what they know in blocks of 16 tokens."""


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
    """What the server puts around each prompt, such as a chat template; counts where prompts are text."""

    def of(self, request: Request) -> Prompt:
        """Return the prompt of a request."""
        if request.row >= 0 and request.kind in self.texts:
            return self.texts[request.kind][request.row]
        if not self.words:
            return _tokens(self.seed, self.ids, request, request.prompt_tokens)
        length = max(1, request.prompt_tokens - self.overhead_tokens)
        places = _tokens(self.seed, (0, len(self.words) - 1), request, length)
        return self.between.join(map(self.words.__getitem__, places))


class _Pool(NamedTuple):
    digits: list[int]
    """All tokens there are, in an order of their own."""
    length: int
    """How many digits a number has."""
    tokens: list[int]

    def part(self, number: int, count: int) -> list[int]:
        """Return so many tokens of the text with this number; more of it begin like fewer."""
        base, rest = len(self.digits), number
        found = []
        for _ in range(min(count, self.length)):
            rest, digit = divmod(rest, base)
            found.append(self.digits[digit])
        place = number * _SPREAD % _POOL
        found += self.tokens[place : place + count - len(found)]
        while len(found) < count:
            found += self.tokens[: count - len(found)]
        return found


def _tokens(seed: int, ids: tuple[int, int], request: Request, length: int) -> list[int]:
    pool = _pool(seed, ids)
    # Prefixes have the odd numbers: none begins like a prompt without one.
    shared = min(request.prefix_tokens, length) if request.prefix >= 0 else 0
    own = pool.part(2 * request.number, length - shared)
    return pool.part(2 * request.prefix + 1, shared) + own if shared else own


# As many as one process may need by turns; kept here, so that sending Prompts to a process sends no pool.
@lru_cache(maxsize=2)
def _pool(seed: int, ids: tuple[int, int]) -> _Pool:
    rng = stream(seed, "prompts")
    low, high = ids
    digits = (low + rng.permutation(high - low + 1)).tolist()
    length = 1
    while length < _MOST_DIGITS and len(digits) ** length < _NUMBERS:
        length += 1
    return _Pool(digits, length, rng.integers(low, high, _POOL, endpoint=True).tolist())
