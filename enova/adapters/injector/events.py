"""The events of a streamed answer, as bytes come in, however they are cut."""

from __future__ import annotations

from typing import Any

import orjson

from enova.core.inject.outcome import Failure

DONE = b"[DONE]"
_FIELDS = (b"data:", b":", b"event:", b"id:", b"retry:")
_SPOKEN = ("content", "reasoning_content", "reasoning", "tool_calls")
"""What a piece of a chat may hold; an empty one is a token too, but for the opening, which only names the role."""


class Events:
    """Reads one stream. What was found is in its attributes after every call."""

    __slots__ = ("_rest", "completed", "completion_tokens", "done", "failure", "pieces", "prompt_tokens")

    def __init__(self) -> None:
        self.done = False
        """Whether the stream said that it is over."""
        self.completed = False
        """Whether a reason was given why the answer ends."""
        self.failure: Failure | None = None
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self._rest = b""
        self.pieces = 0
        """Of the answer, so far: one token each, as a rule."""

    def feed(self, data: bytes) -> int:
        """Take more bytes, and return how many pieces of the answer were in them."""
        before = self.pieces
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line[:5] == b"data:":
                self._event(line[5:].strip())
            elif line.strip() and not line.startswith(_FIELDS):
                self.failure = self.failure or Failure.GARBAGE
        return self.pieces - before

    def end(self) -> None:
        """Take note that no more comes. What no stream has, JSON for example, need not end with a line."""
        rest = self._rest.strip()
        if rest and not rest.startswith(_FIELDS) and not any(field.startswith(rest) for field in _FIELDS):
            self.failure = self.failure or Failure.GARBAGE

    @property
    def whole(self) -> bool:
        """Return whether nothing is missing at the end."""
        return self.done or self.completed

    def _event(self, text: bytes) -> None:
        if text == DONE:
            self.done = True
            return
        try:
            event = orjson.loads(text)
        except orjson.JSONDecodeError:
            self.failure = self.failure or Failure.GARBAGE
            return
        if not isinstance(event, dict):
            self.failure = self.failure or Failure.GARBAGE
            return
        if (usage := event.get("usage")) is not None:
            self.prompt_tokens, self.completion_tokens = tokens_of(usage)
        choices = event.get("choices")
        if choices and isinstance(choices, list):
            self._choice(choices[0])
        elif "error" in event:
            self.failure = self.failure or Failure.ERROR
        elif choices != []:
            self.failure = self.failure or Failure.GARBAGE

    def _choice(self, choice: Any) -> None:
        if not isinstance(choice, dict):
            self.failure = self.failure or Failure.GARBAGE
            return
        ends = choice.get("finish_reason") is not None
        self.completed = self.completed or ends
        delta = choice.get("delta")
        piece = choice.get("text") if delta is None else _spoken(delta)
        # The opening of a chat only names the role. An end without a text is the last token of many an engine: it
        # may be half a letter. Where it comes behind the last token instead, it comes at once.
        opening = delta is not None and "role" in delta and not piece and not ends
        self.pieces += not opening


def tokens_of(usage: Any) -> tuple[int, int]:
    """Return prompt and completion tokens as a server counted them; 0 where it does not say."""
    if not isinstance(usage, dict):
        return 0, 0
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return (prompt if isinstance(prompt, int) else 0), (completion if isinstance(completion, int) else 0)


def _spoken(delta: Any) -> Any:
    return next((delta[name] for name in _SPOKEN if delta.get(name)), None) if isinstance(delta, dict) else None
