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
        self.target = request.prompt_tokens
        self.computed = self.produced = self.blocks = self.shared = 0
        self.decoding = False
        self.scheduled_s = self.last_token_s = -1.0
        self.cached_tokens = self.preemptions = 0

    request: Request
    serial: int
    """Order of submission, which breaks ties."""
    target: int
    """Tokens to compute before the next can be sampled: the prompt, and what came out before a preemption."""
    computed: int
    """Of `target`, those in the KV cache; meaningful until the sequence decodes, and when it stops."""
    produced: int
    """Output tokens when it last began to decode, or stopped."""
    blocks: int
    """Blocks it holds while it does not decode."""
    shared: int
    """Token blocks at its start that belong to a prefix others may use at the same time."""
    scheduled_s: float
    first_token_s: float
    """Set when its prompt is computed."""
    last_token_s: float
    """When its last token came, if that was not the end of the step before this one."""
    cached_tokens: int
    preemptions: int

    decoding: bool
    """Whether it is among `Decodes`, which set all that follows."""
    offset: int
    """Tokens in its cache, less the clock of all decodes."""
    context: float
    """As `offset`, with a clock that does not round to whole tokens."""
    finish: int
    """What the clock shows when it has all its tokens."""
    joined: int
    """Which of all joinings this was; set where there are windows, as is what follows."""
    fills_window: int
    """The step of all decodes from which on it looks back at a full window."""
    fills_blocks: int
    """The step of all decodes from which on it takes no more blocks in window groups."""
