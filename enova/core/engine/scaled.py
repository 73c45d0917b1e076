"""Another source's step times, all longer or shorter by one factor: what its error may make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enova.core.engine.step_time import Chunk, Line, Origin, StepTime


@dataclass(frozen=True, slots=True)
class Scaled:
    """A source with every step scaled; it has the knots, the window and the origin of the one it scales."""

    base: StepTime
    factor: float

    @property
    def origin(self) -> Origin:
        """Return where the times that are scaled come from."""
        return self.base.origin

    @property
    def window_tokens(self) -> int | None:
        """Return the window of the source that is scaled."""
        return self.base.window_tokens

    def step_s(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: float, window_tokens: float) -> float:
        """Return seconds for a step."""
        if chunks or not decodes:
            return self.factor * self.base.step_s(chunks, decodes, kv_tokens, window_tokens)
        # Rounded as the line is: a product of the whole sum may differ from it in the last bit.
        line = self.decode_line(decodes, kv_tokens, window_tokens)
        return line.base_s + line.per_kv_token_s * kv_tokens + line.per_window_token_s * window_tokens

    def decode_line(self, decodes: int, kv_tokens: float, window_tokens: float) -> Line:
        """Return the source's line, scaled; it ends where the source's own does."""
        line, factor = self.base.decode_line(decodes, kv_tokens, window_tokens), self.factor
        return Line(
            factor * line.base_s,
            factor * line.per_kv_token_s,
            factor * line.per_window_token_s,
            line.kv_until,
            line.window_until,
        )
