"""Step times simple enough to compute by hand, and sources that keep all promises of the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from enova.core.engine.step_time import Chunk, Line, Origin


@dataclass(frozen=True, slots=True)
class Affine:
    """A constant and something for each token computed or looked back at; knots at multiples of `knot_tokens`."""

    base_s: float = 1.0
    per_chunk_token_s: float = 0.0
    per_context_token_s: float = 0.0
    per_decode_s: float = 0.0
    per_kv_token_s: float = 0.0
    per_window_token_s: float = 0.0
    window_tokens: int | None = None
    knot_tokens: float = inf
    knot_share: float = 0.0
    """By how much the slope over KV tokens grows from one piece to the next."""
    origin: Origin = Origin.ROOFLINE

    def step_s(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: float, window_tokens: float) -> float:
        seconds = 0.0
        for chunk in chunks:
            per_token_s = self.per_chunk_token_s + chunk.context_tokens * self.per_context_token_s
            seconds += chunk.new_tokens * per_token_s
        if decodes:
            line = self.decode_line(decodes, kv_tokens, window_tokens)
            line_s = line.base_s + line.per_kv_token_s * kv_tokens + line.per_window_token_s * window_tokens
            return seconds + line_s
        return seconds + self.base_s

    def decode_line(self, decodes: int, kv_tokens: float, window_tokens: float) -> Line:
        base_s = self.base_s + self.per_decode_s * decodes
        if self.knot_tokens == inf:
            return Line(base_s, self.per_kv_token_s, self.per_window_token_s, inf, inf)
        piece = 0
        slope_s = self.per_kv_token_s
        while kv_tokens > (piece + 1) * self.knot_tokens:
            piece += 1
            bend_s = slope_s * self.knot_share
            base_s -= bend_s * piece * self.knot_tokens
            slope_s += bend_s
        kv_until = (piece + 1) * self.knot_tokens
        window_until = self.knot_tokens * (1 + window_tokens // self.knot_tokens)
        return Line(base_s, slope_s, self.per_window_token_s, kv_until, window_until)
