"""What an engine tells those who listen."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from enova.core.workload.request import Request


class Served(NamedTuple):
    """One finished request; times as the user sees them, but for the first."""

    request: Request
    scheduled_s: float
    """When it left the queue: the start of the step that computed the first piece of its prompt."""
    first_token_s: float
    finished_s: float
    preemptions: int
    cached_tokens: int
    """Prompt tokens found in the prefix cache when it was first admitted."""


class Observer(Protocol):
    """Hears what happens, in order. Meanwhile it may submit requests, but not advance the engine."""

    def served(self, served: Served) -> None:
        """Note a request that is finished."""
        ...

    def decoded(self, sequences: int, steps: int, first_s: float, last_s: float) -> None:
        """Note that `sequences` sequences got tokens in each of `steps` successive steps.

        The gaps to their tokens before run linearly from `first_s` to `last_s`. A first token is no gap.
        """
        ...

    def rejected(self, request: Request, reason: str) -> None:
        """Note a request that can never run."""
        ...
