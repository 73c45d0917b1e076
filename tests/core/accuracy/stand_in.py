"""A step time that is easy to work out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

from enova.core.engine.step_time import Chunk, Line, Origin


class Steps:
    """`base_s` a step, and so much more for each token of a prompt."""

    origin = Origin.ROOFLINE
    window_tokens = None

    def __init__(self, base_s: float, per_prompt_token_s: float = 0.0) -> None:
        self._base_s = base_s
        self._per_prompt_token_s = per_prompt_token_s

    def step_s(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: float, window_tokens: float) -> float:
        return self._base_s + self._per_prompt_token_s * sum(chunk.new_tokens for chunk in chunks)

    def decode_line(self, decodes: int, kv_tokens: float, window_tokens: float) -> Line:
        return Line(self._base_s, 0.0, 0.0, math.inf, math.inf)
