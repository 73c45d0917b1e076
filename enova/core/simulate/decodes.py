"""The sequences that decode: all gain the same number of tokens in every step, so one clock tells how far each is.

What a step costs and what it allocates depend on sums over these sequences. Each sum is kept as a constant and a
part that moves with the clock, so that advancing by any number of steps costs the same as advancing by one:

- A sequence that joined with `t` cached tokens at clock `g` has `offset = t - g`, and later `offset + clock`
  tokens; so their sum is the sum of offsets and `count * clock`.
- It finishes when the clock reaches `finish`; a heap tells which is first.
- Its last block is full when its tokens are a multiple of the block size, which is when the clock has a certain
  value modulo the block size: its phase. Counting sequences by phase gives the tokens that fit in all last blocks,
  and with the sum of tokens the blocks, at any time. Without phases there is still an upper bound.
- What looks back at a window only stops growing when the window is full; these moments are in a heap as well.

With speculation a step yields `tokens_per_step` tokens, not a whole number: the clock then shows the whole tokens
gained so far, equal for all sequences, while the sums that step times depend on grow without rounding.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import ceil, floor
from operator import mul

from enova.core.simulate.limits import KvPages
from enova.core.simulate.sequence import Sequence


class Decodes:
    """The decoding sequences and their sums."""

    __slots__ = (
        "_bounded",
        "_bounded_count",
        "_bounded_offset",
        "_bounded_phases",
        "_crossings",
        "_growing",
        "_growing_context",
        "_heap",
        "_joined",
        "_offset",
        "_pages",
        "_phases",
        "_places",
        "_simple",
        "_size",
        "_window_tokens",
        "clock",
        "context",
        "count",
        "rate",
        "steps",
        "windowed",
    )

    def __init__(self, pages: KvPages, tokens_per_step: float, window_tokens: int | None) -> None:
        self._pages = pages
        self._size = pages.block_size
        self._places = range(pages.block_size)
        self._window_tokens = window_tokens
        self._bounded = pages.window_groups > 0
        self._simple = pages.full_groups == 1 and not self._bounded and not pages.per_sequence
        self.windowed = self._bounded or window_tokens is not None
        """Whether anything but the length of sequences matters."""
        self.rate = int(tokens_per_step) if tokens_per_step == int(tokens_per_step) else tokens_per_step
        """Tokens a sequence gains in a step."""
        self._heap: list[tuple[int, int, Sequence]] = []
        """Finish, serial and sequence; void if it left meanwhile."""
        self._crossings: list[tuple[int, int, int, Sequence]] = []
        """Step, `joined`, which window, and the sequence; void if it left meanwhile."""
        self._joined = 0
        self._clear()

    def _clear(self) -> None:
        self.count = 0
        self.steps = 0
        """Steps since there last was no decoding sequence."""
        self.clock = 0
        """Whole tokens every sequence gained in these steps."""
        self.context: float = 0
        """Sum of contexts, less what they grew since step 0."""
        self._offset = 0
        self._phases = [0] * self._size
        self._growing = 0
        """Sequences shorter than the window that step times know."""
        self._growing_context: float = 0
        self._bounded_count = 0
        """Sequences that do not yet hold all the blocks a window group gives them."""
        self._bounded_offset = 0
        self._bounded_phases = [0] * self._size
        self._heap.clear()
        self._crossings.clear()

    def join(self, sequence: Sequence, remaining: int) -> None:
        """Take in a sequence whose `target` tokens are cached and that is to produce `remaining` > 0 more."""
        clock = self.clock
        target = sequence.target
        sequence.decoding = True
        sequence.offset = offset = target - clock
        sequence.context = context = target - self.rate * self.steps
        sequence.finish = finish = clock + remaining
        heappush(self._heap, (finish, sequence.serial, sequence))
        self._phases[-offset % self._size] += 1
        self._offset += offset
        self.context += context
        self.count += 1
        if self.windowed:
            self._watch(sequence)

    def leave(self, sequence: Sequence) -> int:
        """Let go of a sequence; return the blocks it holds."""
        offset = sequence.offset
        tokens = offset + self.clock
        sequence.decoding = False
        if self.count == 1:
            self._clear()
        else:
            self._phases[-offset % self._size] -= 1
            self._offset -= offset
            self.context -= sequence.context
            self.count -= 1
            if self.windowed:
                self._unwatch(sequence)
        return -(-tokens // self._size) if self._simple else self._pages.of(tokens)

    def produced(self, sequence: Sequence, steps: int = 0) -> int:
        """Return the output tokens a decoding sequence will have after so many more steps."""
        output = sequence.request.output_tokens
        return min(output, output - sequence.finish + self.clock + self.gain(steps))

    def kv_tokens(self) -> float:
        """Return the sum of contexts that the next step looks back at, its own tokens included."""
        return self.context + self.count * (self.rate * self.steps + 1)

    def window_sum(self) -> float:
        """Return the sum of contexts as `kv_tokens` has it, each cut at the window."""
        if self._window_tokens is None:
            return 0
        full = (self.count - self._growing) * self._window_tokens
        return full + self._growing_context + self._growing * (self.rate * self.steps + 1)

    def window_per_step(self) -> float:
        """Return how much `window_sum` grows in a step, until `steps_to_change`."""
        return self._growing * self.rate

    def gain(self, steps: int) -> int:
        """Return the whole tokens every sequence gains in the next steps."""
        return floor(self.rate * (self.steps + steps)) - self.clock

    def steps_to_change(self) -> int:
        """Return the steps after which the first sequence finishes or fills a window. At least one must decode."""
        heap = self._heap
        finish, _, sequence = heap[0]
        while not sequence.decoding or sequence.finish != finish:
            heappop(heap)
            finish, _, sequence = heap[0]
        steps = finish - self.clock if self.rate == 1 else self._steps_until(finish)
        if self.windowed:
            while self._crossings and not _still(*self._crossings[0]):
                heappop(self._crossings)
            if self._crossings:
                steps = min(steps, self._crossings[0][0] - self.steps)
        return steps

    def advance(self, steps: int) -> list[Sequence]:
        """Let all gain their tokens, in no more than `steps_to_change`; return who has all now, in order.

        These are still in the sums until they leave.
        """
        self.steps = total = self.steps + steps
        self.clock = clock = total if self.rate == 1 else floor(self.rate * total)
        if self.windowed:
            while self._crossings and self._crossings[0][0] <= total:
                self._cross()
        heap = self._heap
        if heap[0][0] > clock:
            return []
        done: list[Sequence] = []
        while heap and heap[0][0] <= clock:
            finish, _, sequence = heappop(heap)
            if sequence.decoding and sequence.finish == finish:
                done.append(sequence)
        return done

    def blocks_at_most(self, steps: int = 0) -> int:
        """Return an upper bound of `blocks`, at less cost."""
        count = self.count
        filled = (self._offset + count * (self.clock + int(self.rate * steps) + self._size)) // self._size
        if self._simple:
            return filled
        pages = self._pages
        bounded = min(filled, count * pages.window_blocks)
        return pages.full_groups * filled + pages.window_groups * bounded + count * pages.per_sequence

    def blocks(self, steps: int = 0) -> int:
        """Return the blocks all hold after so many more steps, no more than `steps_to_change`."""
        count = self.count
        if not count:
            return 0
        pages = self._pages
        size = self._size
        clock = self.clock + self.gain(steps)
        at = clock % size
        phases = self._phases
        vacant: int = sum(map(mul, phases[at:] + phases[:at], self._places))
        blocks = pages.full_groups * ((self._offset + count * clock + vacant) // size) + count * pages.per_sequence
        if self._bounded:
            phases = self._bounded_phases
            growing = self._bounded_count
            vacant = sum(map(mul, phases[at:] + phases[:at], self._places))
            held = (self._bounded_offset + growing * clock + vacant) // size
            blocks += pages.window_groups * (held + (count - growing) * pages.window_blocks)
        return blocks

    def steps_within(self, blocks: int, steps: int) -> int:
        """Return after how many of the next steps all still hold no more than so many blocks."""
        enough = 0
        while enough < steps:
            middle = (enough + steps + 1) // 2
            if self.blocks(middle) <= blocks:
                enough = middle
            else:
                steps = middle - 1
        return enough

    def growth_of(self, sequence: Sequence, gain: int) -> int:
        """Return the blocks that one sequence takes for so many more tokens."""
        tokens = sequence.offset + self.clock
        in_last = tokens % self._size
        if in_last and in_last + gain <= self._size:
            return 0
        return self._pages.of(tokens + gain) - self._pages.of(tokens)

    def _steps_until(self, clock: int) -> int:
        steps = max(1, ceil((clock - self.clock) / self.rate) - 1)
        while self.clock + self.gain(steps) < clock:
            steps += 1
        return steps

    def _watch(self, sequence: Sequence) -> None:
        """Note when a sequence fills the windows it is still shorter than."""
        steps = self.steps
        self._joined = sequence.joined = self._joined + 1
        sequence.fills_window = sequence.fills_blocks = steps
        window = self._window_tokens
        if window is not None and sequence.target + 1 < window:
            self._growing += 1
            self._growing_context += sequence.context
            sequence.fills_window = steps + ceil((window - 1 - sequence.target) / self.rate)
            heappush(self._crossings, (sequence.fills_window, self._joined, 0, sequence))
        full = (self._pages.window_blocks - 1) * self._size + 1
        if self._bounded and sequence.target < full:
            self._bounded_count += 1
            self._bounded_offset += sequence.offset
            self._bounded_phases[-sequence.offset % self._size] += 1
            sequence.fills_blocks = steps + self._steps_until(self.clock + full - sequence.target)
            heappush(self._crossings, (sequence.fills_blocks, self._joined, 1, sequence))

    def _unwatch(self, sequence: Sequence) -> None:
        """Take a sequence out of what still grows."""
        if self.steps < sequence.fills_window:
            self._growing -= 1
            self._growing_context -= sequence.context
        if self.steps < sequence.fills_blocks:
            self._fill_blocks(sequence)

    def _cross(self) -> None:
        """Take note of a window that is full now, unless the sequence has left meanwhile."""
        crossing = heappop(self._crossings)
        if not _still(*crossing):
            return
        _, _, kind, sequence = crossing
        if kind == 0:
            self._growing -= 1
            self._growing_context -= sequence.context
        else:
            self._fill_blocks(sequence)

    def _fill_blocks(self, sequence: Sequence) -> None:
        self._bounded_count -= 1
        self._bounded_offset -= sequence.offset
        self._bounded_phases[-sequence.offset % self._size] -= 1


def _still(_step: int, joined: int, _kind: int, sequence: Sequence) -> bool:
    """Return whether the sequence of a crossing has decoded ever since."""
    return sequence.decoding and sequence.joined == joined
