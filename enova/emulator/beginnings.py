"""Which prompts begin alike: what the prefix cache of an engine finds again.

The simulator knows shared prefixes by number. A prompt gets the number of the one whose beginning it shares, or a
new one. What differs from vLLM: prompts that begin alike and then part share what they have in common, but what
comes after can be found again for the first of them only. Answers are not found again either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from enova.emulator.words import CHARACTERS_PER_TOKEN

NOTHING_SHARED = -1


class Shared(NamedTuple):
    """A prefix, and how many tokens of it a prompt begins with."""

    prefix: int
    tokens: int


def block_hashes(prompt: str | Sequence[int], block_size: int) -> tuple[int, ...]:
    """Return for each whole block of a prompt, text or token ids, a hash of all up to its end."""
    width = block_size * CHARACTERS_PER_TOKEN if isinstance(prompt, str) else block_size
    hashes = []
    before = 0
    for end in range(width, len(prompt) + 1, width):
        before = hash((before, tuple(prompt[end - width : end])))
        hashes.append(before)
    return tuple(hashes)


class Beginnings:
    """The beginnings of prompts seen so far, of no more blocks than a cache could hold."""

    def __init__(self, block_size: int, most_blocks: int) -> None:
        self._block_size = block_size
        self._most_blocks = most_blocks
        self._prefix_of: dict[int, int] = {}
        """By the hash of a block."""
        self._blocks: list[int] = []
        """How many each prefix has."""
        self._first = 0
        """Number of the oldest prefix that is remembered."""

    def of(self, hashes: Sequence[int]) -> Shared:
        """Return what a prompt with these blocks shares with those before it, or may share with those to come."""
        if not hashes:
            return Shared(NOTHING_SHARED, 0)
        known = next((index for index, one in enumerate(hashes) if one not in self._prefix_of), len(hashes))
        if len(self._prefix_of) + len(hashes) - known > self._most_blocks:
            # What came so long ago is not in the cache any more either.
            self._first += len(self._blocks)
            self._prefix_of.clear()
            self._blocks.clear()
            known = 0
        if known:
            prefix = self._prefix_of[hashes[known - 1]]
        else:
            prefix = self._first + len(self._blocks)
            self._blocks.append(0)
        if known == self._blocks[prefix - self._first]:
            self._prefix_of.update(dict.fromkeys(hashes[known:], prefix))
            self._blocks[prefix - self._first] = known = len(hashes)
        return Shared(prefix, known * self._block_size)
