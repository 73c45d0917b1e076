"""vLLM's scheduler again, as plainly as can be: step by step, block by block, with nothing kept in sums.

Only for comparison. It decides ahead as vLLM does it, with a batch in a queue behind the one that runs, and has
every block of the KV cache with its content. It knows no speculation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from enova.core.engine.step_time import Chunk, StepTime
from enova.core.simulate.limits import Limits
from enova.core.workload.request import Request

Content = tuple[str, int, int]


class Outcome(NamedTuple):
    number: int
    scheduled_s: float
    token_s: tuple[float, ...]
    preemptions: int
    cached_tokens: int


@dataclass(eq=False)
class Plain:
    request: Request
    computed: int = 0
    target: int = 0
    noted: int = 0
    in_flight: int = 0
    scheduled_s: float = -1.0
    preemptions: int = 0
    cached_tokens: int = 0
    token_s: list[float] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)

    @property
    def known(self) -> int:
        return self.request.prompt_tokens + len(self.token_s) + self.in_flight

    @property
    def ends(self) -> bool:
        return len(self.token_s) + self.in_flight >= self.request.output_tokens


class Part(NamedTuple):
    sequence: Plain
    new_tokens: int
    context_tokens: int
    samples: bool
    prompt: bool


class PlainEngine:
    """Serve a whole load; `outcomes` has what became of it."""

    def __init__(self, limits: Limits, step_time: StepTime, requests: list[Request]) -> None:
        self.limits = limits
        self.step_time = step_time
        self.arrivals = sorted(requests, key=lambda request: request.arrival_s)
        self.running: list[Plain] = []
        self.waiting: list[Plain] = []
        self.queue = list(range(limits.kv_blocks))
        self.content: dict[int, Content] = {}
        self.place: dict[Content, int] = {}
        self.users = [0] * limits.kv_blocks
        self.outcomes: list[Outcome] = []
        self.preempted = False
        self.steps = 0
        self._serve()

    def _serve(self) -> None:
        now_s = 0.0
        ahead: list[Part] = []
        while self.arrivals or self.running or self.waiting:
            batch = ahead or self._schedule(now_s)
            if not batch:
                now_s = max(now_s, self.arrivals[0].arrival_s)
                batch = self._schedule(now_s)
            start_s, now_s = now_s, now_s + self._step_s(batch)
            ahead = self._schedule(start_s) if self.limits.decide_ahead else []
            for part in batch:
                if part.sequence.scheduled_s < 0:
                    part.sequence.scheduled_s = start_s
            self._finish(batch, now_s)
            self.steps += 1

    def _step_s(self, batch: list[Part]) -> float:
        chunks = [Chunk(part.new_tokens, part.context_tokens, part.samples) for part in batch if part.prompt]
        contexts = [part.context_tokens + 1 for part in batch if not part.prompt]
        window = self.step_time.window_tokens
        window_sum = sum(min(context, window) for context in contexts) if window else 0
        return self.step_time.step_s(chunks, len(contexts), sum(contexts), window_sum)

    def _finish(self, batch: list[Part], now_s: float) -> None:
        for part in batch:
            if not part.samples:
                continue
            sequence = part.sequence
            sequence.in_flight -= 1
            sequence.token_s.append(now_s)
            if len(sequence.token_s) == sequence.request.output_tokens:
                (self.running if sequence in self.running else self.waiting).remove(sequence)
                self._free(sequence)
                self.outcomes.append(
                    Outcome(
                        sequence.request.number,
                        sequence.scheduled_s,
                        tuple(sequence.token_s),
                        sequence.preemptions,
                        sequence.cached_tokens,
                    )
                )

    def _schedule(self, now_s: float) -> list[Part]:
        while self.arrivals and self.arrivals[0].arrival_s <= now_s:
            self.waiting.append(Plain(self.arrivals.pop(0)))
        batch = self._continue()
        if not self.preempted:
            self._admit(batch)
        return batch

    def _continue(self) -> list[Part]:
        batch: list[Part] = []
        budget = self.limits.max_num_batched_tokens
        self.preempted = False
        index = 0
        while index < len(self.running) and budget > 0:
            sequence = self.running[index]
            index += 1
            threshold = self.limits.long_prefill_token_threshold
            new = min(sequence.known - sequence.computed, threshold or budget, budget)
            if new == 0 or sequence.ends:
                continue
            while not self._allocate(sequence, sequence.computed + new):
                if self._preempt() is sequence:
                    return batch
            budget -= new
            batch.append(self._take_part(sequence, new))
        return batch

    def _preempt(self) -> Plain:
        victim = self.running.pop()
        self.preempted = True
        self._free(victim)
        victim.computed = 0
        if not victim.ends:
            victim.preemptions += 1
        self.waiting.insert(0, victim)
        return victim

    def _admit(self, batch: list[Part]) -> None:
        limits = self.limits
        size = limits.pages.block_size
        budget = limits.max_num_batched_tokens - sum(part.new_tokens for part in batch)
        while self.waiting and budget > 0 and len(self.running) < limits.max_num_seqs:
            sequence = self.waiting[0]
            found = self._find(sequence)
            computed = len(found) * size
            new = min(sequence.known - computed, limits.long_prefill_token_threshold or sequence.known)
            if new > budget and not limits.chunked_prefill:
                break
            new = min(new, budget)
            reserve = limits.pages.of(sequence.known) if limits.reserve_full_prompt else 0
            spare = limits.watermark_blocks if self.running else 0
            held = sum(self.users[block] > 0 for block in found)
            if max(reserve, limits.pages.of(computed + new)) - held + spare > len(self.queue):
                break
            for block in found:
                self._use(block)
            sequence.blocks = list(found)
            sequence.noted = len(found)
            sequence.computed = computed
            sequence.target = sequence.known
            if not sequence.preemptions:
                sequence.cached_tokens = computed
            assert self._allocate(sequence, computed + new)
            self.running.append(self.waiting.pop(0))
            budget -= new
            batch.append(self._take_part(sequence, new))

    def _take_part(self, sequence: Plain, new: int) -> Part:
        context = sequence.computed
        sequence.computed += new
        samples = sequence.computed == sequence.known
        if samples:
            sequence.in_flight += 1
        return Part(sequence, new, context, samples, prompt=context < sequence.target)

    def _find(self, sequence: Plain) -> list[int]:
        found: list[int] = []
        if self.limits.prefix_caching:
            for index in range((sequence.known - 1) // self.limits.pages.block_size):
                block = self.place.get(self._content_of(sequence, index))
                if block is None:
                    break
                found.append(block)
        return found

    def _content_of(self, sequence: Plain, index: int) -> Content:
        request = sequence.request
        shared = request.prefix >= 0 and (index + 1) * self.limits.pages.block_size <= request.prefix_tokens
        return ("prefix", request.prefix, index) if shared else ("request", request.number, index)

    def _allocate(self, sequence: Plain, tokens: int) -> bool:
        needed = self.limits.pages.of(tokens) - len(sequence.blocks)
        if needed > len(self.queue):
            return False
        for _ in range(needed):
            block = self.queue[0]
            old = self.content.pop(block, None)
            if old is not None:
                del self.place[old]
            self._use(block)
            sequence.blocks.append(block)
        if self.limits.prefix_caching:
            full = min(tokens, sequence.known) // self.limits.pages.block_size
            for index in range(sequence.noted, full):
                content = self._content_of(sequence, index)
                if content not in self.place:
                    self.place[content] = sequence.blocks[index]
                    self.content[sequence.blocks[index]] = content
            sequence.noted = full
        return True

    def _use(self, block: int) -> None:
        self.users[block] += 1
        if self.users[block] == 1:
            self.queue.remove(block)

    def _free(self, sequence: Plain) -> None:
        for block in reversed(sequence.blocks):
            self.users[block] -= 1
            if not self.users[block]:
                self.queue.append(block)
        sequence.blocks = []
