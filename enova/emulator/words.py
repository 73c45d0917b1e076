"""What the emulated engine says, and how many tokens a text counts for. One word is one token."""

from __future__ import annotations

import random
from collections.abc import Iterator

OPENING = (
    "[emulated]",
    " These",
    " words",
    " come",
    " from",
    " an",
    " emulated",
    " engine,",
    " not",
    " a",
    " model:",
)
VOCABULARY = (
    " amber", " birch", " cedar", " delta", " ember", " fjord", " grove", " harbor", " island", " juniper",
    " kettle", " lantern", " meadow", " north", " orchard", " pebble", " quartz", " river", " saffron", " timber",
    " upland", " valley", " willow", " yonder", " zephyr",
)  # fmt: skip
SHORTEST, LONGEST = 32, 256
"""Tokens of an answer that ends by itself, drawn evenly. Long enough to stream, short enough to wait for."""

CHARACTERS_PER_TOKEN = 4
MESSAGE_TOKENS = 4
"""What a chat template adds to each message, about."""


def answer(seed: str) -> Iterator[str]:
    """Yield the tokens of an endless answer; equal seeds say the same."""
    yield from OPENING
    rng = random.Random(seed)  # noqa: S311 (nothing secret is drawn)
    while True:
        yield rng.choice(VOCABULARY)


def natural_tokens(seed: str) -> int:
    """Return after how many tokens the answer ends by itself."""
    return random.Random(f"length:{seed}").randint(SHORTEST, LONGEST)  # noqa: S311 (nothing secret is drawn)


def count_tokens(text: str) -> int:
    """Return about how many tokens a tokenizer for English would make of a text; at least one."""
    return max(1, -(-len(text) // CHARACTERS_PER_TOKEN))
