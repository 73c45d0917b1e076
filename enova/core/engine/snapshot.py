"""What one engine says about itself at a moment, and what happened between two such moments."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Counters and gauges of one engine, as of `at_s`. None: not offered, or could not be read; that is not zero.

    Sums of histograms come with their counts, so that means are exact. What belongs to a request is counted when
    it ends, except where a name says otherwise.
    """

    at_s: float
    """On the reader's clock; only differences count."""
    running: float | None = None
    waiting: float | None = None
    kv_usage: float | None = None
    """0 to 1."""
    kv_tokens_capacity: float | None = None
    steps: float | None = None
    """Those that gave at least one token."""
    prompt_tokens: float | None = None
    """Of requests that have their first token, cached ones included."""
    cached_tokens: float | None = None
    output_tokens: float | None = None
    """First tokens included."""
    first_tokens: float | None = None
    """Requests that have their first token."""
    gaps: float | None = None
    """Tokens that followed another."""
    gaps_s: float | None = None
    """Sum of the times from a token to the next, by the engine's clock."""
    finished: float | None = None
    finished_prompt_tokens: float | None = None
    finished_output_tokens: float | None = None
    latency_s: float | None = None
    """Sum from the server's knowing of a request until its last token, as the server's front sees it."""
    queue_s: float | None = None
    """Sum from the scheduler's seeing a request to its leaving the queue. It sees them only between steps."""
    prefill_s: float | None = None
    """Sum from a request's leaving the queue to its first token."""
    decode_s: float | None = None
    """Sum from first to last token."""
    preemptions: float | None = None
    answers: float | None = None
    """Completions answered over HTTP."""
    answers_s: float | None = None
    """Sum of what they took, from the request's arrival to the end of its answer."""

    @property
    def decoding(self) -> float:
        """Return how many requests have some of their tokens, but not all."""
        return known(self.first_tokens) - known(self.finished)

    @property
    def context_tokens(self) -> float:
        """Return the tokens that all of these look back at."""
        so_far = known(self.prompt_tokens) + known(self.output_tokens)
        return so_far - known(self.finished_prompt_tokens) - known(self.finished_output_tokens)

    def __sub__(self, earlier: Snapshot) -> Snapshot:
        """Return what happened since: differences of all that grows, gauges as they are now."""
        grown: dict[str, float | None] = {}
        for name in GROWING:
            now, then = getattr(self, name), getattr(earlier, name)
            grown[name] = None if now is None or then is None else now - then
        return Snapshot(
            at_s=self.at_s - earlier.at_s,
            running=self.running,
            waiting=self.waiting,
            kv_usage=self.kv_usage,
            kv_tokens_capacity=self.kv_tokens_capacity,
            **grown,
        )

    def lacks(self, *names: str) -> list[str]:
        """Return those of the fields that are unknown."""
        return [name for name in names if getattr(self, name) is None]


GAUGES = frozenset({"at_s", "running", "waiting", "kv_usage", "kv_tokens_capacity"})
GROWING = tuple(field.name for field in fields(Snapshot) if field.name not in GAUGES)


def known(value: float | None) -> float:
    """Return a value whose absence was ruled out before, or means that a version has no such thing."""
    return value or 0.0
