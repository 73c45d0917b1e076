"""One request and its answer, with the times at which things happened, in seconds from the start of the run."""

from __future__ import annotations

import math
from array import array

import orjson

from enova.adapters.injector.events import Events, tokens_of
from enova.core.inject.outcome import Failure, Outcome
from enova.core.workload.request import Request

OK = 200


class Exchange:
    """Hears what a connection receives, and makes an outcome of it. Ends once; what comes later is not heard."""

    __slots__ = (
        "_body", "_events", "_gaps", "_last_s", "begun", "closes", "emulated", "first_s", "outcome", "payload",
        "request", "sent_s", "status", "stream",
    )  # fmt: skip

    def __init__(self, request: Request, payload: bytes, gaps_s: array[float], *, stream: bool) -> None:
        self.request = request
        self.payload = payload
        self.stream = stream
        self.sent_s = self.first_s = self._last_s = math.nan
        self.status = 0
        self.begun = False
        """Whether anything of the answer has come."""
        self.closes = True
        """Whether only the end of the connection tells where the answer ends."""
        self.emulated = False
        self.outcome: Outcome | None = None
        self._events = Events()
        self._body = b""
        self._gaps = gaps_s

    def head(self, status: int, *, emulated: bool) -> None:
        """Take note of the status."""
        self.status = status
        self.emulated = emulated

    def body(self, data: bytes, now_s: float) -> None:
        """Take a part of the answer."""
        if self.status != OK or not self.stream:
            self._body += data
            return
        pieces = self._events.feed(data)
        if not pieces:
            return
        if math.isnan(self.first_s):
            self.first_s = now_s
        else:
            self._gaps.append(now_s - self._last_s)
        # Pieces that come together have no time between them: so the client saw it.
        self._gaps.extend([0.0] * (pieces - 1))
        self._last_s = now_s

    def complete(self, now_s: float) -> None:
        """The answer is there."""
        if self.status != OK:
            self.fail(f"http_{self.status}", now_s)
        elif self.stream:
            events = self._events
            events.end()
            cut_off = None if events.whole else Failure.CUT_OFF
            # What ends well and says nothing at all is no answer.
            empty = Failure.GARBAGE if math.isnan(self.first_s) else None
            self._end(events.failure or cut_off or empty, now_s, events.prompt_tokens, events.completion_tokens)
        else:
            self._whole(now_s)

    def fail(self, failure: str, now_s: float) -> None:
        """Nothing more will come."""
        self._end(failure, now_s, self._events.prompt_tokens, self._events.completion_tokens)

    def _whole(self, now_s: float) -> None:
        try:
            answer = orjson.loads(self._body)
        except orjson.JSONDecodeError:
            answer = None
        if isinstance(answer, dict) and answer.get("choices"):
            self.first_s = self._last_s = now_s
            self._end(None, now_s, *tokens_of(answer.get("usage")))
        else:
            self.fail(Failure.ERROR if isinstance(answer, dict) and "error" in answer else Failure.GARBAGE, now_s)

    def _end(self, failure: str | None, now_s: float, prompt_tokens: int, output_tokens: int) -> None:
        if self.outcome is not None:
            return
        last_s = now_s if failure or math.isnan(self._last_s) else self._last_s
        self.outcome = Outcome(
            request=self.request,
            sent_s=self.sent_s,
            first_s=self.first_s,
            last_s=last_s,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens or self._events.pieces,
            failure=failure or "",
        )
        self.payload = self._body = b""
