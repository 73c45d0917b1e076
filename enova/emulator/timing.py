"""How long the emulated engine takes. The only place that knows; everything else asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Timing(Protocol):
    """Says how long a running request takes for its next output."""

    def first_token_s(self, prompt_tokens: int) -> float:
        """Return the time from leaving the queue to the first token."""
        ...

    def next_token_s(self) -> float:
        """Return the time from one token to the next."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantRate:
    """Every request runs as fast as if it were alone. The defaults resemble a small GPU."""

    overhead_s: float = 0.020
    prefill_tokens_per_s: float = 20_000.0
    output_token_s: float = 0.008

    def first_token_s(self, prompt_tokens: int) -> float:
        """Return the fixed overhead and the time to read the prompt."""
        return self.overhead_s + prompt_tokens / self.prefill_tokens_per_s

    def next_token_s(self) -> float:
        """Return the constant time per output token."""
        return self.output_token_s
