"""How long one step of an engine takes: the protocol every source of the answer follows.

A step computes some prompt chunks and one token for each decoding sequence. Attention cost depends on the
tokens it looks back at; two sums over the decoding sequences say all that sources need: `kv_tokens`, of their
contexts, and `window_tokens`, of their contexts cut at the model's window. While nothing joins or leaves, both
grow by a constant each step, and a source promises to be linear in them between knots (`Line`); that is what lets
the simulator advance many steps at once and still agree with going step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol


class Origin(StrEnum):
    """Where a time comes from, best first."""

    CALIBRATED = "calibrated"
    MEASURED_TABLE = "measured table"
    ROOFLINE = "roofline"


class Chunk(NamedTuple):
    """A piece of a prompt computed in one step."""

    new_tokens: int
    context_tokens: int
    """Tokens of the same sequence before the piece: computed in earlier steps, or found in the prefix cache."""
    last: bool
    """Whether it ends the prompt, so that the step also samples its first token."""


class Line(NamedTuple):
    """The time of pure decode steps, `base_s + per_kv_token_s * kv_tokens + per_window_token_s * window_tokens`.

    Exact while `kv_tokens <= kv_until` and `window_tokens <= window_until` (both only ever grow).
    """

    base_s: float
    per_kv_token_s: float
    per_window_token_s: float
    kv_until: float
    window_until: float


class StepTime(Protocol):
    """One source of step times for one engine setup. Stateless: equal arguments give equal results."""

    @property
    def origin(self) -> Origin:
        """Return where the times come from."""
        ...

    @property
    def window_tokens(self) -> int | None:
        """Return the window that `window_tokens` sums are cut at; None: no sliding layers, the sum is ignored."""
        ...

    def step_s(self, chunks: Sequence[Chunk], decodes: int, kv_tokens: float, window_tokens: float) -> float:
        """Return seconds for a step. Without chunks it equals what `decode_line` gives, to the last bit."""
        ...

    def decode_line(self, decodes: int, kv_tokens: float, window_tokens: float) -> Line:
        """Return the line that holds at this point and on until its ends, for `decodes` >= 1 sequences."""
        ...


class Frontend(NamedTuple):
    """Time a request spends outside the scheduler, in the API server and the tokenizer; it delays nobody else."""

    before_s: float
    """From arrival until the scheduler sees it."""
    before_s_per_prompt_token: float
    after_s: float
    """From the end of a step until its tokens reach the user."""

    def arrival_s(self, prompt_tokens: int) -> float:
        """Return seconds from a request's arrival until the scheduler sees it."""
        return self.before_s + self.before_s_per_prompt_token * prompt_tokens


NO_FRONTEND = Frontend(0.0, 0.0, 0.0)
