"""The engine: a queue, a limit on how many requests run, and tokens that come out when their time has come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from time import perf_counter

from enova.emulator.metrics import Metrics
from enova.emulator.timing import Timing
from enova.emulator.words import answer

LONGEST_PAUSE_S = 0.1
"""How often a request that does not stream still reports, so that counters move as a real engine's do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One prompt to answer."""

    index: int
    prompt_tokens: int
    max_tokens: int
    output_tokens: int
    seed: str
    stream: bool

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


class Engine:
    """Answers work first come, first served, at most `max_num_seqs` at a time."""

    def __init__(self, *, max_num_seqs: int, kv_tokens: int, timing: Timing, metrics: Metrics) -> None:
        self._slots = asyncio.Semaphore(max_num_seqs)
        self._kv_tokens = kv_tokens
        self._timing = timing
        self._metrics = metrics
        self._kv_used = 0

    async def answer(self, works: Sequence[Work]) -> AsyncGenerator[Burst]:
        """Yield bursts of all works as they come. Closing the iterator aborts what is not finished."""
        results: asyncio.Queue[Burst | asyncio.Task[None]] = asyncio.Queue()
        tasks = [asyncio.create_task(self._run(work, results.put_nowait)) for work in works]
        for task in tasks:
            task.add_done_callback(results.put_nowait)
        unfinished = len(tasks)
        try:
            while unfinished:
                result = await results.get()
                if isinstance(result, Burst):
                    yield result
                    continue
                result.result()  # raises what the task raised
                unfinished -= 1
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, work: Work, emit: Callable[[Burst], None]) -> None:
        reason = "error"
        arrived_s = perf_counter()
        try:
            with self._metrics.waiting.track_inprogress():
                await self._slots.acquire()
            try:
                with self._metrics.running.track_inprogress(), self._cache_held() as hold:
                    await self._decode(work, arrived_s, emit, hold)
            finally:
                self._slots.release()
            reason = work.finish_reason
        except asyncio.CancelledError:
            reason = "abort"
            raise
        finally:
            self._metrics.finished[reason].inc()

    async def _decode(
        self, work: Work, arrived_s: float, emit: Callable[[Burst], None], hold: Callable[[int], None]
    ) -> None:
        metrics, step_s = self._metrics, self._timing.next_token_s()
        words = answer(work.seed)
        started_s = perf_counter()
        hold(work.prompt_tokens)

        await asyncio.sleep(self._timing.first_token_s(work.prompt_tokens))
        first_s = last_s = perf_counter()
        metrics.prompt_tokens.inc(work.prompt_tokens)
        metrics.prefix_queries.inc(work.prompt_tokens)
        metrics.first_token_s.observe(first_s - arrived_s)

        due, done = 1, 0
        while True:
            hold(due)
            metrics.generation_tokens.inc(due)
            done += due
            reason = work.finish_reason if done == work.output_tokens else None
            emit(Burst(work.index, tuple(islice(words, due)), reason))
            if reason:
                break
            stride = 1 if work.stream else max(1, int(LONGEST_PAUSE_S / max(step_s, 1e-9)))
            upcoming = min(done + stride, work.output_tokens)
            # Deadlines count from the first token: a late wake-up is made up for, it does not add up.
            await asyncio.sleep(max(0.0, first_s + (upcoming - 1) * step_s - perf_counter()))
            now_s = perf_counter()
            late = int((now_s - first_s) / step_s) + 1 if step_s > 0 else work.output_tokens
            due = min(max(upcoming, late), work.output_tokens) - done
            for _ in range(due):
                metrics.next_token_s.observe((now_s - last_s) / due)
            last_s = now_s

        metrics.queue_s.observe(started_s - arrived_s)
        metrics.prefill_s.observe(first_s - started_s)
        metrics.decode_s.observe(last_s - first_s)
        metrics.inference_s.observe(last_s - started_s)
        metrics.total_s.observe(last_s - arrived_s)
        if done > 1:
            metrics.mean_token_s.observe((last_s - first_s) / (done - 1))
        metrics.request_prompt_tokens.observe(work.prompt_tokens)
        metrics.request_generation_tokens.observe(done)
        metrics.request_max_tokens.observe(work.max_tokens)

    @contextmanager
    def _cache_held(self) -> Iterator[Callable[[int], None]]:
        held = 0

        def hold(tokens: int) -> None:
            nonlocal held
            held += tokens
            self._fill(tokens)

        try:
            yield hold
        finally:
            self._fill(-held)

    def _fill(self, tokens: int) -> None:
        self._kv_used += tokens
        self._metrics.kv_usage.set(self._kv_used / self._kv_tokens)
