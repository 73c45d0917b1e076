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
from enova.core.simulate.prefix_cache import PrefixCache
from enova.core.simulate.sequence import Sequence


class Scheduler:
    """Seats, blocks and the queue. `decide` fills `chunks` and `parts`; all `decodes` take part in the step too.

    Without a long-prefill threshold at most one prompt is partly computed, and it is the last admitted: it took
    all that was left of the budget. So decodes go first as long as budget and blocks do for all. Only where these
    do not, or where a threshold lets prompts be overtaken, `_walk` goes through all sequences one by one.
    """

    def __init__(self, limits: Limits, decodes: Decodes) -> None:
        self._limits = limits
        self._pages = limits.pages
        self._budget = limits.max_num_batched_tokens
        self._decode_tokens = -int(-limits.tokens_per_step // 1)
        self._most_decodes = self._budget // self._decode_tokens
        self._threshold = limits.long_prefill_token_threshold
        self.decodes = decodes
        self.cache = PrefixCache(limits.pages)
        self.running: dict[int, Sequence] = {}
        """By number, in order of admission; those that are `leaving` included."""
        self.waiting: deque[Sequence] = deque()
        self.prefilling: list[Sequence] = []
        self.leaving: list[Sequence] = []
        """Sequences that finished too late for the next decision to know."""
        self.late: list[Sequence] = []
        """Decoding sequences the last step had no budget for; they are not among `decodes` meanwhile."""
        self.used = 0
        """Blocks held by all sequences but `decodes`, those that are shared counted for each that shares them."""
        self.chunks: list[Chunk] = []
        self.parts: list[Sequence] = []
        """The sequences of the chunks."""
        self.catching_up: list[Sequence] = []
        """Decoding sequences in the step whose last token is older than the step before."""
        self.preemptions = 0
        self.unsettled = False
        """Whether the next step may differ from this one although nothing arrives or finishes until then."""

    def settled(self) -> bool:
        """Return whether, if there are blocks, the next batch is all that decodes and no one else."""
        if self.waiting or self.prefilling or self.late:
            return False
        self.unsettled = False
        return 0 < self.decodes.count <= self._most_decodes

    def room(self) -> int:
        """Return the blocks there are for decodes, those that they hold included."""
        return self._limits.kv_blocks - self.used + self.cache.saved

    def decide(self, now_s: float) -> None:
        """Choose the batch of a step that starts now, or that starts next if decided ahead."""
        decodes = self.decodes
        self.chunks = []
        self.parts = []
        if self.late:
            self._rejoin()
        budget = self._budget - decodes.count * self._decode_tokens
        free = self.room() - decodes.blocks_at_most(1)
        preempted = False
        if budget < 0 or free < 0 or self.prefilling:
            free = self.room() - decodes.blocks(1)
            if budget < 0 or free < 0 or not self._continue(budget, free):
                preempted = self._walk(now_s)
                budget = self._budget - decodes.count * self._decode_tokens
            for sequence, chunk in zip(self.parts, self.chunks, strict=True):
                budget -= chunk.new_tokens
                self._note_prefix(sequence, chunk)
            free = self.room() - decodes.blocks(1)
        if self.waiting and not preempted:
            self._admit(now_s, budget, free)
        self.unsettled = False
        if self.late or self.catching_up or (self.waiting and (preempted or self.leaving)):
            self.unsettled = True

    def _rejoin(self) -> None:
        """Let sequences decode again that the last step had no budget for."""
        self.catching_up = self.late
        self.late = []
        for sequence in self.catching_up:
            self.used -= sequence.blocks
            self.decodes.join(sequence, sequence.request.output_tokens - sequence.produced)

    def retire(self, sequence: Sequence, *, linger: bool) -> None:
        """Take in that a sequence has finished; `linger`: the next decision comes too early to know."""
        if sequence.decoding:
            sequence.computed = sequence.offset + self.decodes.clock
            sequence.blocks = self.decodes.leave(sequence)
            self.used += sequence.blocks
        if linger:
            self.leaving.append(sequence)
        else:
            if self.cache.active:
                self.sync_cache()
            del self.running[sequence.request.number]
            self._free(sequence)

    def drop(self, sequence: Sequence, *, linger: bool) -> None:
        """Let go of a running sequence that is not done, as `retire` does of those that are."""
        if sequence in self.prefilling:
            self.prefilling.remove(sequence)
            # While it lingers it keeps its seat, and `_walk` would compute what is left of its prompt.
            sequence.target = sequence.computed
        elif sequence in self.late:
            self.late.remove(sequence)
        self.retire(sequence, linger=linger)

    def release(self) -> None:
        """Give back what those hold that left before the last decision was made."""
        if self.cache.active:
            self.sync_cache(1)
        for sequence in self.leaving:
            del self.running[sequence.request.number]
            self._free(sequence)
        self.leaving = []

    def sync_cache(self, steps: int = 0) -> None:
        """Let the prefix cache know what is allocated, with the blocks of so many more steps."""
        self.cache.sync(self.room() - self.decodes.blocks(steps))

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
            if new:
                blocks = self._pages.of(sequence.computed + new)
                budget -= new
                free -= blocks - sequence.blocks
                plan.append((sequence, new, blocks))
        if free < 0:
            return False
        for sequence, new, blocks in plan:
            self._schedule(sequence, new, blocks)
        return True

    def _schedule(self, sequence: Sequence, new: int, blocks: int) -> None:
        """Put a piece of a prompt in the step, after which its sequence holds so many blocks."""
        computed = sequence.computed
        self.used += blocks - sequence.blocks
        sequence.blocks = blocks
        # As `Chunk(…)`, in a third of the time.
        self.chunks.append(tuple.__new__(Chunk, (new, computed, computed + new == sequence.target)))
        self.parts.append(sequence)

    def _note_prefix(self, sequence: Sequence, chunk: Chunk) -> None:
        """Let others find what this step computes of a shared prefix. Before, blocks are handed out for it."""
        if sequence.request.prefix >= 0 and self._limits.prefix_caching:
            self.sync_cache(1)
            self.cache.extend(sequence, chunk.context_tokens + chunk.new_tokens)

    def _walk(self, now_s: float) -> bool:
        """Schedule all that runs, one by one in order; return whether any was preempted."""
        decodes = self.decodes
        budget = self._budget
        gain = decodes.gain(1)
        granted = 0
        preempted = False
        free = self.room() - decodes.blocks()
        for sequence in list(self.running.values()):
            number = sequence.request.number
            if number not in self.running:
                break
            if sequence.decoding:
                new = self._decode_tokens
                blocks = decodes.growth_of(sequence, gain)
            elif sequence.computed < sequence.target:
                new = min(sequence.target - sequence.computed, self._threshold or budget, budget)
                blocks = self._pages.of(sequence.computed + new) - sequence.blocks
            else:
                continue
            if budget < max(new, 1):
                if sequence.decoding:
                    self._miss(sequence, now_s)
                continue
            while blocks > free and number in self.running:
                self._preempt(now_s)
                preempted = True
                free = self.room() - decodes.blocks() - granted
            if number not in self.running:
                break
            free -= blocks
            budget -= new
            if sequence.decoding:
                granted += blocks
            else:
                self._schedule(sequence, new, sequence.blocks + blocks)
        return preempted

    def _stop(self, sequence: Sequence, now_s: float) -> None:
        """Take a sequence out of the decodes though it is not done."""
        sequence.produced = self.decodes.produced(sequence)
        sequence.computed = sequence.offset + self.decodes.clock
        sequence.blocks = self.decodes.leave(sequence)
        self.used += sequence.blocks
        if sequence in self.catching_up:
            self.catching_up.remove(sequence)
        else:
            sequence.last_token_s = now_s

    def _miss(self, sequence: Sequence, now_s: float) -> None:
        """Leave a decoding sequence out of this step."""
        self._stop(sequence, now_s)
        sequence.target = sequence.computed
        self.late.append(sequence)

    def _preempt(self, now_s: float) -> None:
        """Take its place from the last admitted."""
        if self._limits.prefix_caching:
            self.sync_cache()
        _, victim = self.running.popitem()
        if victim in self.leaving:
            self.leaving.remove(victim)
            self._free(victim)
            return
        if victim.decoding:
            self._stop(victim, now_s)
        else:
            self.prefilling.remove(victim)
        self._free(victim, keep=True)
        victim.computed = 0
        victim.target = victim.request.prompt_tokens + victim.produced
        victim.preemptions += 1
        self.preemptions += 1
        self.waiting.appendleft(victim)

    def _free(self, sequence: Sequence, *, keep: bool = False) -> None:
        """Give back the blocks of a sequence; `keep`: it will come back and may look for what was in them."""
        self.used -= sequence.blocks
        sequence.blocks = 0
        if self.cache.active or (keep and self._limits.prefix_caching):
            self.cache.give(sequence, sequence.computed, keep=keep)

    def _admit(self, now_s: float, budget: int, free: int) -> None:
        """Let in who waits, in order, as far as seats, budget and blocks go; at least `free` blocks are free."""
        limits = self._limits
        waiting = self.waiting
        running = self.running
        of = self._pages.of
        cache = self.cache
        exact = synced = False  # whether `free` is not too low, and whether the cache knows what is allocated
        while waiting and budget > 0 and len(running) < limits.max_num_seqs:
            sequence = waiting[0]
            request = sequence.request
            target = sequence.target
            shared = found = 0
            cached = (cache.active or request.prefix >= 0) and limits.prefix_caching
            if cached:
                if not synced:
                    self.sync_cache(1)
                exact = True
                shared, found = cache.find(sequence)
                free = cache.free + cache.span(0, shared) - cache.waking(sequence, shared)
            computed = found * self._pages.block_size
            new = target - computed
            if 0 < self._threshold < new:
                new = self._threshold
            if new > budget:
                if not limits.chunked_prefill:
                    break
                new = budget
            blocks = of(computed + new)
            needed = of(target) if new < target - computed and limits.reserve_full_prompt else blocks
            needed += limits.watermark_blocks if running else 0
            if needed > free:
                if exact:
                    break
                exact = True
                free = self.room() - self.decodes.blocks(1)
                continue
            waiting.popleft()
            running[request.number] = sequence
            if sequence.scheduled_s < 0:
                sequence.scheduled_s = now_s
                sequence.cached_tokens = computed
            if cached:
                cache.hold(sequence, shared, found)
                sequence.computed = computed
            self.prefilling.append(sequence)
            self._schedule(sequence, new, blocks)
            synced = cached
            if cached:
                cache.sync(cache.free - blocks + cache.span(0, found))
                cache.extend(sequence, computed + new)
            budget -= new
            free -= blocks
