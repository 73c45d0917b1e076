"""Prompts of given lengths, made up or from a dataset; the same seed and request make the same prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from enova.core.workload.request import Request
from enova.core.workload.sources import stream

Prompt = str | list[int]
"""Text, or token ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """Where prompts come from: token ids, words of one token each, or the texts of a dataset."""

    seed: int = 0
    ids: tuple[int, int] = (10, 250)
    """Token ids are drawn from here, both ends included; every vocabulary has these."""
    words: tuple[str, ...] = ()
    """Each is one token of the model where a space goes before it. Given: prompts are text."""
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By class of request, the prompts of its dataset, by row."""
    overhead_tokens: int = 0
    """What the server puts around each prompt, such as a chat template."""

    def of(self, request: Request) -> Prompt:
        """Return the prompt of a request."""
        low, high = self.ids
        rng = stream(self.seed, f"prompt/{request.number}")
        return [int(token) for token in rng.integers(low, high, request.prompt_tokens, endpoint=True)]
