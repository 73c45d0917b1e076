"""Which sequences take part in a step: vLLM V1's scheduler, without any time in it.

As in `vllm/v1/core/sched/scheduler.py` (0.32): one budget of tokens a step; those that run come first, in the
order of their admission, whether they decode or still compute their prompt; who waits comes after, first come
first served, and only if nobody lost their place in this step. Whoever needs a block when there is none takes
the place of the last admitted, who goes back to the head of the queue and computes everything again.
"""

from __future__ import annotations

from collections import deque

from enova.core.engine.step_time import Chunk
from enova.core.simulate.decodes import Decodes
from enova.core.simulate.limits import Limits
from enova.core.simulate.sequence import Sequence


class Scheduler:
    """Seats, blocks and the queue. `decide` fills `chunks` and `parts`; all of `decodes` take part in the step
    too.

    Without a long-prefill threshold at most one prompt is partly computed, and it is the last admitted: it took
    all that was left of the budget. So decodes go first as long as the budget and the blocks do for all; only
    where they do not, or where a threshold lets prompts be overtaken, does `_walk` go through all sequences one
    by one.
    """

    def __init__(self, limits: Limits, decodes: Decodes) -> None:
        self._limits = limits
        self._pages = limits.pages
        self._budget = limits.max_num_batched_tokens
        self._decode_tokens = -int(-limits.tokens_per_step // 1)
        self._threshold = limits.long_prefill_token_threshold
        self.decodes = decodes
        self.running: dict[int, Sequence] = {}
        """By number, in order of admission; those that are `leaving` included."""
        self.waiting: deque[Sequence] = deque()
        self.prefilling: list[Sequence] = []
        self.leaving: list[tuple[Sequence, int]] = []
        """Sequences that finished too late for the next decision to know, and blocks they hold till then."""
        self.late: list[Sequence] = []
        """Decoding sequences the last step had no budget for."""
        self.used = 0
        """Blocks held by sequences that are not `leaving`; those of decodes as of now, before the step."""
        self.chunks: list[Chunk] = []
        self.parts: list[Sequence] = []
        """The sequences of the chunks."""
        self.catching_up: list[Sequence] = []
        """Decoding sequences in the step whose last token is older than the step before."""
        self.preemptions = 0
        self.unsettled = False
        """Whether the next step may differ from this one although nothing arrives or finishes until then."""

    def decide(self, now_s: float) -> None:
        """Choose the batch of a step that starts now, or that starts next if decided ahead."""
        decodes = self.decodes
        self.chunks = []
        self.parts = []
        for sequence in self.late:
            decodes.join(sequence, sequence.request.output_tokens - sequence.produced)
        self.catching_up = self.late
        self.late = []
        free = self._limits.kv_blocks - self.used
        for _, blocks in self.leaving:
            free -= blocks
        budget = self._budget - decodes.count * self._decode_tokens
        growth = decodes.growth(1) if decodes.count else 0
        preempted = False
        if budget < 0 or growth > free or (self.prefilling and not self._continue(budget, free - growth)):
            preempted = self._walk(now_s)
            budget = self._budget - decodes.count * self._decode_tokens
            growth = decodes.growth(1) if decodes.count else 0
            free = self._limits.kv_blocks - self.used - sum(blocks for _, blocks in self.leaving)
        elif self.prefilling:
            free = self._limits.kv_blocks - self.used - sum(blocks for _, blocks in self.leaving)
        if self.waiting and not preempted:
            budget -= sum(chunk.new_tokens for chunk in self.chunks)
            self._admit(now_s, budget, free - growth)
        moved = preempted or bool(self.leaving)
        self.unsettled = bool(self.late or self.catching_up) or (moved and bool(self.waiting))

    def release(self) -> None:
        """Give back what those hold that left before the last decision was made."""
        for sequence, _ in self.leaving:
            self.running.pop(sequence.request.number, None)
        self.leaving = []

    def _continue(self, budget: int, free: int) -> bool:
        """Schedule the next part of all prompts already begun, or do nothing and return False."""
        threshold = self._threshold
        plan = []
        for sequence in self.prefilling:
            wanted = sequence.target - sequence.computed
            if threshold and wanted > threshold:
                wanted = threshold
            new = min(wanted, budget)
            if threshold and new < wanted:
                return False
            blocks = self._pages.of(sequence.computed + new) if new else sequence.blocks
            budget -= new
            free -= blocks - sequence.blocks
            if free < 0:
                return False
            if new:
                plan.append((sequence, new, blocks))
        for sequence, new, blocks in plan:
            self._schedule(sequence, new, blocks)
        return True

    def _schedule(self, sequence: Sequence, new: int, blocks: int) -> None:
        """Put a piece of a prompt in the step."""
        self.used += blocks - sequence.blocks
        sequence.blocks = blocks
        computed = sequence.computed
        self.chunks.append(Chunk(new, computed, computed + new == sequence.target))
        self.parts.append(sequence)

    def _walk(self, now_s: float) -> bool:
        """Schedule all that runs, one by one in order; return whether any was preempted."""
        decodes = self.decodes
        budget = self._budget
        free = self._limits.kv_blocks - self.used - sum(blocks for _, blocks in self.leaving)
        preempted = False
        for sequence in list(self.running.values()):
            if sequence.request.number not in self.running:
                break
            if sequence.decoding:
                new = self._decode_tokens
                blocks = decodes.growth_of(sequence)
            elif sequence.computed < sequence.target:
                new = min(sequence.target - sequence.computed, self._threshold or budget, budget)
                blocks = self._pages.of(sequence.computed + new) - sequence.blocks
            else:
                continue
            if budget < new or budget <= 0:
                if sequence.decoding:
                    self._miss(sequence, now_s)
                continue
            while blocks > free and sequence.request.number in self.running:
                free += self._preempt(now_s)
                preempted = True
            if sequence.request.number not in self.running:
                break
            free -= blocks
            budget -= new
            if not sequence.decoding:
                self._schedule(sequence, new, sequence.blocks + blocks)
        return preempted

    def _miss(self, sequence: Sequence, now_s: float) -> None:
        """Leave a decoding sequence out of this step."""
        sequence.produced = self.decodes.produced(sequence)
        sequence.target = sequence.request.prompt_tokens + sequence.produced - 1
        sequence.blocks = self.decodes.leave(sequence)
        if sequence in self.catching_up:
            self.catching_up.remove(sequence)
        else:
            sequence.last_token_s = now_s
        self.late.append(sequence)

    def _preempt(self, now_s: float) -> int:
        """Take its place from the last admitted; return the blocks that are free for it."""
        _, victim = self.running.popitem()
        for index, (sequence, blocks) in enumerate(self.leaving):
            if sequence is victim:
                del self.leaving[index]
                return blocks
        if victim.decoding:
            victim.produced = self.decodes.produced(victim)
            blocks = self.decodes.leave(victim)
            if victim in self.catching_up:
                self.catching_up.remove(victim)
            else:
                victim.last_token_s = now_s
        else:
            blocks = victim.blocks
            self.prefilling.remove(victim)
        self.used -= blocks
        victim.blocks = victim.computed = 0
        victim.target = victim.request.prompt_tokens + victim.produced
        victim.preemptions += 1
        self.preemptions += 1
        self.waiting.appendleft(victim)
        return blocks

    def _admit(self, now_s: float, budget: int, free: int) -> None:
        """Let in who waits, in order, as far as seats, budget and blocks go."""
        limits = self._limits
        waiting = self.waiting
        running = self.running
        of = self._pages.of
        while waiting and budget > 0 and len(running) < limits.max_num_seqs:
            sequence = waiting[0]
            target = sequence.target
            new = target
            if 0 < self._threshold < new:
                new = self._threshold
            if new > budget:
                if not limits.chunked_prefill:
                    break
                new = budget
            blocks = of(new)
            if (of(target) if limits.reserve_full_prompt else blocks) > free - (
                limits.watermark_blocks if running else 0
            ):
                break
            waiting.popleft()
            running[sequence.request.number] = sequence
            if sequence.scheduled_s < 0:
                sequence.scheduled_s = now_s
            self.prefilling.append(sequence)
            self._schedule(sequence, new, blocks)
            budget -= new
            free -= blocks
