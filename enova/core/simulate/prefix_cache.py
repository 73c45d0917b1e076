"""Which tokens are still in memory from earlier: vLLM's prefix cache, in runs of blocks instead of single ones.

A block that nobody uses keeps its tokens until it is handed out again, and the one freed longest ago is handed
out first. A sequence gives its blocks back from its end to its start, so what is left of a chain of blocks is
always its beginning. Two kinds of chains can be found again: shared prefixes, and the blocks of a preempted
sequence, which only itself can use. All other free blocks are alike, and neighbours among them in the queue are
one run. So the queue has as many runs as chains were freed, not as many as there are blocks.

What differs from vLLM: of a prefix that two sequences compute at the same time, only the first one's blocks
count.
"""

from __future__ import annotations

from collections import deque

from enova.core.simulate.limits import KvPages
from enova.core.simulate.sequence import Sequence


class Chain:
    """Token blocks in a row, of which those from `base` up to `resident` are in memory."""

    __slots__ = ("base", "held", "holders", "key", "resident", "runs")

    def __init__(self, key: int, base: int, resident: int) -> None:
        self.key = key
        """Which prefix it is, or which preempted request's."""
        self.base = base
        self.resident = resident
        self.held = base
        """Up to here they are in use."""
        self.holders: list[int] = []
        """Up to where each sequence uses it."""
        self.runs: list[Run] = []
        """Its pieces among the free blocks, the first to be handed out first."""


class Run:
    """Free blocks in a row: token blocks `low` to `high` of a chain, or `high` blocks that are forgotten."""

    __slots__ = ("chain", "high", "low")

    def __init__(self, chain: Chain | None, low: int, high: int) -> None:
        self.chain = chain
        self.low = low
        self.high = high


class PrefixCache:
    """The queue of free blocks. It does nothing until there is something that could be found again."""

    def __init__(self, pages: KvPages) -> None:
        self._pages = pages
        self._size = pages.block_size
        self._runs: deque[Run] = deque()
        self._prefixes: dict[int, Chain] = {}
        self._own: dict[int, Chain] = {}
        """What preempted sequences left, by number."""
        self.active = False
        """Whether there is anything to be found."""
        self.free = 0
        """Blocks in the queue."""
        self.saved = 0
        """Blocks that sequences hold together, counted as often as they are held beyond the first time."""

    def sync(self, free: int) -> None:
        """Hand out blocks from the head of the queue until so many are left."""
        runs = self._runs
        if not self.active:
            runs.clear()
            runs.append(Run(None, 0, free))
            self.free = free
            return
        wanted = self.free - free
        self.free = free
        while wanted > 0:
            run = runs[0]
            chain = run.chain
            if chain is None:
                handed = min(wanted, run.high)
                run.high -= handed
                wanted -= handed
            while chain is not None and wanted > 0 and run.high > run.low:
                run.high -= 1
                chain.resident = min(chain.resident, run.high)
                wanted -= self.span(run.high, run.high + 1)
            if run.high == run.low:
                runs.popleft()
                if chain is not None:
                    chain.runs.remove(run)
                    self._drop_empty(chain)
        if wanted < 0:
            runs.appendleft(Run(None, 0, -wanted))

    def span(self, low: int, high: int) -> int:
        """Return the blocks that token blocks `low` to `high` of a sequence take."""
        pages = self._pages
        blocks = pages.full_groups * (high - low)
        if pages.window_groups:
            bounded = min(high, pages.window_blocks) - min(low, pages.window_blocks)
            blocks += pages.window_groups * bounded
        return blocks

    def find(self, sequence: Sequence) -> tuple[int, int]:
        """Return the token blocks at a sequence's start that are shared, and all that are in memory.

        At least one token is left to compute, since the next one is sampled from what that gives.
        """
        most = (sequence.target - 1) // self._size
        shared = 0
        chain = self._prefixes.get(sequence.request.prefix)
        if chain is not None:
            shared = min(chain.resident, self._sharable(sequence), most)
        own = self._own.get(sequence.request.number)
        if own is not None and own.base <= shared:
            return shared, max(shared, min(own.resident, most))
        return shared, shared

    def waking(self, sequence: Sequence, shared: int) -> int:
        """Return the blocks that leave the queue if a sequence uses so many shared token blocks."""
        chain = self._prefixes.get(sequence.request.prefix)
        return self.span(chain.held, shared) if chain is not None and shared > chain.held else 0

    def hold(self, sequence: Sequence, shared: int, found: int) -> None:
        """Let a sequence use what was found, and forget what else it left when it was preempted."""
        own = self._own.pop(sequence.request.number, None)
        if own is not None:
            self.active = bool(self._prefixes or self._own)
            woken = self.span(shared, found)
            self.free -= woken
            for run in own.runs:
                run.chain, run.low, run.high = None, 0, self.span(run.low, run.high) - woken
        sequence.shared = shared
        if shared:
            chain = self._prefixes[sequence.request.prefix]
            self.saved += self.span(0, shared)
            if shared > chain.held:
                self.saved -= self.span(chain.held, shared)
                self._wake(chain, shared)
                chain.held = shared
            chain.holders.append(shared)

    def extend(self, sequence: Sequence, computed: int) -> None:
        """Note the blocks of its prefix that a sequence has computed, where nobody else has."""
        full = min(self._sharable(sequence), computed // self._size)
        shared = sequence.shared
        if full <= shared:
            return
        chain = self._prefixes.get(sequence.request.prefix)
        if chain is None:
            chain = self._prefixes[sequence.request.prefix] = Chain(sequence.request.prefix, 0, 0)
            self.active = True
        if chain.resident != shared:
            return
        if shared:
            chain.holders.remove(shared)
        chain.holders.append(full)
        chain.resident = chain.held = sequence.shared = full

    def give(self, sequence: Sequence, tokens: int, *, keep: bool) -> None:
        """Take back all blocks of a sequence with so many tokens; `keep`: it will come again."""
        shared = sequence.shared
        blocks = self._pages.of(tokens) - self.span(0, shared)
        full = tokens // self._size
        self.free += blocks
        own = None
        if keep and full > shared:
            own = Chain(sequence.request.number, shared, full)
            blocks -= self.span(shared, full)
        if blocks:
            if self._runs and self._runs[-1].chain is None:
                self._runs[-1].high += blocks
            else:
                self._runs.append(Run(None, 0, blocks))
        if own is not None:
            self._own[sequence.request.number] = own
            self.active = True
            self._queue(own, shared, full)
        if shared:
            sequence.shared = 0
            chain = self._prefixes[sequence.request.prefix]
            chain.holders.remove(shared)
            held = max(chain.holders, default=0)
            self.saved -= self.span(0, shared)
            if held < chain.held:
                freed = self.span(held, chain.held)
                self.saved += freed
                self.free += freed
                self._queue(chain, held, chain.held)
                chain.held = held

    def _sharable(self, sequence: Sequence) -> int:
        request = sequence.request
        return min(request.prefix_tokens, request.prompt_tokens) // self._size if request.prefix >= 0 else 0

    def _queue(self, chain: Chain, low: int, high: int) -> None:
        run = Run(chain, low, high)
        chain.runs.append(run)
        self._runs.append(run)

    def _wake(self, chain: Chain, until: int) -> None:
        """Take a chain's free blocks up to `until` out of the queue; an empty run stays there."""
        kept = []
        for run in chain.runs:
            low = max(run.low, min(until, run.high))
            self.free -= self.span(run.low, low)
            run.low = low
            if run.low < run.high:
                kept.append(run)
            else:
                run.chain, run.low, run.high = None, 0, 0
        chain.runs = kept

    def _drop_empty(self, chain: Chain) -> None:
        """Forget a chain of which nothing is left."""
        if chain.resident > chain.base or chain.holders:
            return
        for chains in (self._prefixes, self._own):
            if chains.get(chain.key) is chain:
                del chains[chain.key]
        self.active = bool(self._prefixes or self._own)
