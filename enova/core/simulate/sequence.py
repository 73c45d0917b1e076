"""A request inside an engine: how far it has come."""

from __future__ import annotations

from enova.core.workload.request import Request


class Sequence:
    """The state of one unfinished request. Where it is kept says what it is doing."""

    __slots__ = (
        "blocks",
        "cached_tokens",
        "computed",
        "context",
        "decoding",
        "fills_blocks",
        "fills_window",
        "finish",
        "first_token_s",
        "joined",
        "last_token_s",
        "offset",
        "own_cached",
        "preemptions",
        "produced",
        "request",
        "scheduled_s",
        "serial",
        "shared",
        "target",
    )

    def __init__(self, request: Request, serial: int) -> None:
        self.request = request
        self.serial = serial
        """Order of submission, which breaks ties."""
        self.target = request.prompt_tokens
        """Tokens to compute before the next can be sampled: the prompt, and what came out before a preemption."""
        self.computed = 0
        """Of `target`, those in the KV cache; meaningful until the sequence decodes."""
        self.produced = 0
        """Output tokens when it last began to decode, or stopped."""
        self.blocks = 0
        """Blocks it holds while it does not decode."""
        self.shared = 0
        """Token blocks at its start that belong to a prefix others may use at the same time."""
        self.own_cached = 0
        """Token blocks of its own that may still be found after a preemption; they begin where `shared` ended."""
        self.decoding = False
        self.offset = 0
        """While it decodes: tokens in its cache, less the clock of all decodes."""
        self.context = 0.0
        """While it decodes: as `offset`, of the clock that does not round to whole tokens."""
        self.finish = 0
        """While it decodes: what the clock shows when it has all its tokens."""
        self.joined = 0
        """Which of all joinings to the decodes was its last; set where there are windows."""
        self.fills_window = 0
        """The step of all decodes from which on it looks back at a full window; set where there is one."""
        self.fills_blocks = 0
        """The step of all decodes from which on it takes no more blocks in window groups; set where some are."""
        self.scheduled_s = -1.0
        self.first_token_s = -1.0
        self.last_token_s = -1.0
        """When its last token came, if that was not the end of the step before this one."""
        self.cached_tokens = 0
        self.preemptions = 0
