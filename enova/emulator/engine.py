"""The simulator's engine on the wall clock, and the words that come out of it.

No real-time environment of simpy's drives it: that blocks the thread it waits in, and this thread serves HTTP.
The engine is one that is advanced when somebody wants to know: when a request comes or goes, when metrics are
read, and by a timer of the event loop when the next tokens come out. A timer that is late delays tokens, never
the engine.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from math import inf

from enova.core.simulate import engine as simulated
from enova.core.workload.request import Request
from enova.emulator.accounts import Accounts
from enova.emulator.beginnings import Beginnings
from enova.emulator.emulated import Emulated
from enova.emulator.metrics import Metrics
from enova.emulator.words import answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One prompt to answer."""

    index: int
    prompt_tokens: int
    max_tokens: int
    output_tokens: int
    seed: str
    stream: bool
    block_hashes: tuple[int, ...] = ()
    """Of its prompt, if the engine looks for prompts that begin alike."""

    @property
    def finish_reason(self) -> str:
        """Return why it will end: the limit, or by itself before it."""
        return "length" if self.output_tokens >= self.max_tokens else "stop"


@dataclass(frozen=True, slots=True)
class Burst:
    """Tokens that came out together; the last one of a prompt carries the reason of its end."""

    index: int
    tokens: tuple[str, ...]
    finish_reason: str | None = None


Results = asyncio.Queue[Burst | Exception]


@dataclass(slots=True, eq=False)
class _Answer:
    """What has become of one prompt so far."""

    work: Work
    request: Request
    results: Results
    computed: int = 0
    """Tokens the engine has."""
    sent: int = 0
    """Those the user has."""
    words: islice[str] = field(init=False)

    def __post_init__(self) -> None:
        self.words = islice(answer(self.work.seed), self.work.output_tokens)

    @property
    def is_done(self) -> bool:
        return self.computed == self.work.output_tokens

    def send(self, tokens: int) -> None:
        """Send words up to so many."""
        reason = self.work.finish_reason if tokens == self.work.output_tokens else None
        burst = Burst(self.work.index, tuple(islice(self.words, tokens - self.sent)), reason)
        self.sent = tokens
        self.results.put_nowait(burst)


class Engine:
    """Answers work as the simulator says an engine would, `speed` times as fast. It observes the simulated one."""

    def __init__(self, emulated: Emulated, metrics: Metrics, *, speed: float = 1.0) -> None:
        limits, self._frontend = emulated.limits, emulated.frontend
        self._engine = simulated.Engine(limits, emulated.step_time, self, frontend=self._frontend, leap=False)
        self._accounts = Accounts(metrics, self._frontend, speed)
        self._beginnings = Beginnings(limits.pages.block_size, limits.kv_blocks)
        self._kv_blocks = limits.kv_blocks
        self._speed = speed
        self._numbers = count()
        self._answers: dict[int, _Answer] = {}
        """By number, until the user has all of it."""
        self._coming: deque[tuple[float, _Answer, int]] = deque()
        """Tokens on their way to the user: when they are there, whose, and how many there are then."""
        self._first_prompt_tokens = 0
        """Of requests that got their first token in this step."""
        self._preemptions = 0
        """Those that are counted."""
        self._began_s: float | None = None
        """The engine's 0 on the clock of the event loop."""
        self._timer: asyncio.TimerHandle | None = None

    async def answer(self, works: Sequence[Work]) -> AsyncGenerator[Burst]:
        """Yield bursts of all works as they come. Closing the iterator aborts what is not finished."""
        results: Results = asyncio.Queue()
        numbers: list[int] = []
        unfinished = len(works)
        try:
            numbers += self._submit(works, results)
            while unfinished:
                result = await results.get()
                if isinstance(result, Exception):
                    raise result
                unfinished -= result.finish_reason is not None
                yield result
        finally:
            self._abort(numbers)

    def look(self) -> None:
        """Bring the metrics up to date."""
        self._catch_up()
        engine = self._engine
        done = sum(answer.is_done for answer in self._answers.values())
        running = min(engine.running + done, len(self._answers))
        # Whoever is still with the frontend waits too: nobody must take the engine for idle.
        waiting = len(self._answers) - running
        self._accounts.look(
            running=running, waiting=waiting, kv_use=engine.kv_used_blocks / max(1, self._kv_blocks)
        )

    def served(self, served: simulated.Served) -> None:
        """Hear that the engine has all tokens of an answer."""
        answer = self._answers[served.request.number]
        self._computed(answer, answer.work.output_tokens)
        self._accounts.served(served, max_tokens=answer.work.max_tokens, finish_reason=answer.work.finish_reason)

    def decoded(self, sequences: int, steps: int, first_s: float, last_s: float) -> None:
        """Hear of tokens that followed another; steps come one by one here, so their gaps are equal."""
        self._accounts.gaps(sequences * steps, (first_s + last_s) / 2)

    def rejected(self, request: Request, reason: str) -> None:  # noqa: ARG002 - of the protocol
        """Hear of what can never run, which no client may ask for."""
        raise ValueError(f"a request can never run: it is {reason}")

    def _submit(self, works: Sequence[Work], results: Results) -> list[int]:
        now_s = self._catch_up()
        numbers = []
        for work in works:
            number = next(self._numbers)
            prefix, shared = self._beginnings.of(work.block_hashes)
            request = Request(
                number,
                now_s,
                work.prompt_tokens,
                work.output_tokens,
                prefix=prefix,
                prefix_tokens=min(shared, work.prompt_tokens),
            )
            self._engine.submit(request, now_s)
            self._answers[number] = _Answer(work, request, results)
            numbers.append(number)
        self._set_timer()
        return numbers

    def _abort(self, numbers: Sequence[int]) -> None:
        """Drop those of these requests that are not finished."""
        unfinished = [number for number in numbers if number in self._answers]
        if not unfinished:
            return
        self._catch_up()
        for number in unfinished:
            # It may have come to its end just now.
            answer = self._answers.pop(number, None)
            if answer is not None and not answer.is_done:
                self._engine.abort(number)
                self._accounts.ended_early("abort")
        self._set_timer()

    def _catch_up(self) -> float:
        """Let happen what should have happened by now; return the time of the engine's clock."""
        loop = asyncio.get_running_loop()
        if self._began_s is None:
            self._began_s = loop.time()
        now_s = (loop.time() - self._began_s) * self._speed
        engine = self._engine
        try:
            while (next_s := engine.next_s) <= now_s:
                self._step(next_s)
            engine.advance(now_s)
        except Exception as failure:
            self._fail(failure)
            raise
        self._send(now_s)
        return now_s

    def _step(self, until_s: float) -> None:
        """Let the engine come to the end of its step, and see what that gives."""
        engine = self._engine
        before, preemptions = engine.output_tokens, engine.preemptions - self._preemptions
        engine.advance(until_s)
        for number, tokens in engine.tokens().items():
            if number in self._answers:
                self._computed(self._answers[number], tokens)
        self._accounts.step(
            prompt_tokens=self._first_prompt_tokens,
            output_tokens=engine.output_tokens - before,
            preemptions=preemptions,
        )
        self._preemptions += preemptions
        self._first_prompt_tokens = 0

    def _computed(self, answer: _Answer, tokens: int) -> None:
        """Note that the engine has so many tokens of an answer, which are on their way from now on."""
        if tokens == answer.computed:
            return
        arrives_s = self._engine.now_s + self._frontend.after_s
        if not answer.computed:
            self._first_prompt_tokens += answer.work.prompt_tokens
            self._accounts.first_token(answer.request, arrives_s)
        answer.computed = tokens
        if answer.work.stream or answer.is_done:
            self._coming.append((arrives_s, answer, tokens))

    def _send(self, now_s: float) -> None:
        """Send what has come by now, in one piece to each user however late this is."""
        ready: dict[_Answer, int] = {}
        while self._coming and self._coming[0][0] <= now_s:
            _, answer, tokens = self._coming.popleft()
            ready[answer] = tokens
        for answer, tokens in ready.items():
            if answer.request.number in self._answers:
                answer.send(tokens)
                if answer.sent == answer.work.output_tokens:
                    del self._answers[answer.request.number]

    def _set_timer(self) -> None:
        """Wake up when the next tokens come out or arrive."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        next_s = min(self._engine.next_s, self._coming[0][0] if self._coming else inf)
        if next_s < inf and self._began_s is not None:
            at_s = self._began_s + next_s / self._speed
            self._timer = asyncio.get_running_loop().call_at(at_s, self._wake_up)

    def _wake_up(self) -> None:
        self._catch_up()
        self._set_timer()

    def _fail(self, failure: Exception) -> None:
        """Let everybody know that nothing more will come."""
        for unfinished in self._answers.values():
            unfinished.results.put_nowait(failure)
            self._accounts.ended_early("error")
        self._answers.clear()
