"""One engine through time: requests go in, steps follow each other, an observer hears what comes out.

Between changes of the batch all steps are alike but for contexts that grow by a constant, and step times are
linear in these (`enova.core.engine.step_time.Line`). So the engine advances many steps at once, a leap, with
their end in closed form. A leap ends at the first of: a sequence finishes; a window or a knot of the line is
reached; no block is left; the step boundary at which an arrival may be let in. Nothing else changes a batch of
decodes: blocks are freed only by those who finish, so a queue whose head does not fit stays as it is.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf

from enova.core.engine.step_time import NO_FRONTEND, Frontend, StepTime
from enova.core.simulate.decodes import Decodes
from enova.core.simulate.limits import Limits
from enova.core.simulate.observer import Observer, Served
from enova.core.simulate.rejection import most_tokens, why_never
from enova.core.simulate.scheduler import Scheduler
from enova.core.simulate.sequence import Sequence
from enova.core.simulate.state import State
from enova.core.workload.request import Request

__all__ = ["Engine", "Observer", "Served"]


class Engine(State):
    """An engine that is advanced when somebody wants to know, not step by step by a clock.

    The batch that starts at a moment is decided when time moves beyond that moment (or `next_s` is read), so that
    everything submitted at that very moment belongs to it, whoever is asked first. With `leap=False` it goes
    step by step, for comparison and for those who want to see every token; the results are the same.
    """

    def __init__(
        self,
        limits: Limits,
        step_time: StepTime,
        observer: Observer,
        *,
        frontend: Frontend = NO_FRONTEND,
        leap: bool = True,
    ) -> None:
        super().__init__(limits, step_time.window_tokens)
        self._step_time = step_time
        self._observer = observer
        self._frontend = frontend
        self._leaping = leap
        self._most_seqs = limits.max_num_seqs
        self._most_tokens = most_tokens(limits)
        self._submitted = 0
        self._ahead = limits.decide_ahead
        self._last = 1
        """How many steps the leap had that ended last."""
        self._open = False
        """Whether an arrival could be let in before the steps in flight are over."""
        self._aborted: list[Sequence] = []
        """Those who leave when the step in flight has ended."""

    def submit(self, request: Request, now_s: float) -> None:
        """Take in a request that its user sends at a moment; if that is over, now.

        Its number must not be that of an unfinished one.
        """
        if request.prompt_tokens + request.output_tokens > self._most_tokens:
            self._observer.rejected(request, why_never(request, self._limits))
            return
        frontend = self._frontend
        ready_s = now_s
        if frontend is not NO_FRONTEND:
            ready_s += frontend.arrival_s(request.prompt_tokens)
        if ready_s < self.now_s:
            ready_s = self.now_s
        self._submitted = serial = self._submitted + 1
        heappush(self._pending, (ready_s, serial, Sequence(request, serial)))
        if self._open and ready_s < self._flight.end_s:
            self._cut(ready_s)

    def advance(self, until_s: float) -> None:
        """Let happen everything up to and including a moment."""
        flight = self._flight
        while True:
            if flight.steps:
                if flight.end_s > until_s:
                    break
                self._complete()
            elif not self._start(until_s):
                break
        if self.now_s < until_s < inf:
            self.now_s = until_s

    @property
    def next_s(self) -> float:
        """Return when the state changes next if nothing is submitted; inf when idle.

        Reading it decides the batch that starts now: what is submitted later, even now, is too late.
        """
        scheduler = self._scheduler
        idle = not (self._flight.steps or scheduler.running or scheduler.waiting)
        if idle and self._pending and self._pending[0][0] > self.now_s:
            return self._pending[0][0]
        return self._flight.end_s if self._flight.steps or self._start(inf) else inf

    def abort(self, number: int) -> None:
        """Drop an unfinished request; its seat and its blocks are free once the step in flight has ended.

        KeyError if there is none so numbered.
        """
        self.settle()
        sequence = self._find(number)
        if self._flight.steps:
            self._flight.cut(self.now_s)
        if number in self._scheduler.running:
            self._aborted.append(sequence)
            if not self._flight.steps:
                self._drop_aborted([])
        elif sequence in self._scheduler.waiting:
            self._scheduler.waiting.remove(sequence)
        else:
            self._pending = [entry for entry in self._pending if entry[2] is not sequence]
            heapify(self._pending)

    def settle(self) -> None:
        """Tell the observer of the steps that have ended by now, although their leap goes on."""
        flight = self._flight
        now_s, steps, still_open = self.now_s, flight.steps, self._open
        ended = flight.ended(now_s)
        if ended:
            flight.steps, flight.end_s = ended, flight.after(ended)
            self._complete()
            flight.begin(self.now_s, flight.first_s + ended * flight.slope_s, flight.slope_s, steps - ended)
            self.now_s, self._open = now_s, still_open

    def evict(self) -> list[Request]:
        """Fail: drop everything unfinished and return it, in order of admission, of the queue, of arrival."""
        self.settle()
        scheduler = self._scheduler
        self._drop_aborted([])
        scheduler.release()
        left = [sequence.request for sequence in scheduler.running.values()]
        left += [sequence.request for sequence in scheduler.waiting]
        left += [entry[2].request for entry in sorted(self._pending, key=lambda entry: entry[:2])]
        preemptions = scheduler.preemptions
        self._decodes = Decodes(self._limits.pages, self._limits.tokens_per_step, self._step_time.window_tokens)
        self._scheduler = Scheduler(self._limits, self._decodes)
        self._scheduler.preemptions = preemptions
        self._pending = []
        self._busy_s = self.busy_s
        self._flight.steps = 0
        self._open = False
        return left

    def _start(self, until_s: float) -> bool:
        """Decide the batch that starts next, if that is before a moment; return whether there is one."""
        scheduler = self._scheduler
        decodes = self._decodes
        pending = self._pending
        seen_s = now_s = self.now_s
        if scheduler.running or scheduler.waiting:
            if now_s >= until_s:
                return False
            if self._ahead and pending:
                # Decided when the last step began.
                seen_s = self._flight.after(self._last - 1)
        elif pending and pending[0][0] < until_s:
            seen_s = self.now_s = now_s = max(now_s, pending[0][0])
        else:
            return False
        if (not pending or pending[0][0] > seen_s) and scheduler.settled() and self._plan_decodes():
            if scheduler.leaving:
                scheduler.release()
            return True
        self._decide(seen_s)
        if self._ahead and not scheduler.chunks and not decodes.count:
            self._decide(now_s)
        if scheduler.chunks or scheduler.catching_up:
            self._plan_step()
            return True
        return self._plan_decodes() if decodes.count else self._start(until_s)

    def _decide(self, seen_s: float) -> None:
        pending = self._pending
        scheduler = self._scheduler
        while pending and pending[0][0] <= seen_s:
            scheduler.waiting.append(heappop(pending)[2])
        scheduler.decide(self.now_s)
        if scheduler.leaving:
            scheduler.release()

    def _plan_step(self) -> None:
        """Set out a single step, whatever is in it."""
        decodes = self._decodes
        chunks = self._scheduler.chunks
        duration_s = self._step_time.step_s(chunks, decodes.count, decodes.kv_tokens(), decodes.window_sum())
        self._flight.begin(self.now_s, duration_s, 0.0, 1)

    def _plan_decodes(self) -> bool:
        """Set out how many steps the same sequences decode; False if that takes a closer look at the blocks."""
        scheduler = self._scheduler
        decodes = self._decodes
        room = scheduler.room()
        steps = decodes.steps_to_change() if self._leaping and not scheduler.unsettled else 1
        if decodes.blocks_at_most(steps) > room and decodes.blocks(steps) > room:
            # Those who leave still hold theirs in the first step, but not in those after it.
            steps = 0 if scheduler.leaving else decodes.steps_within(room, steps)
            if not steps:
                return False
        if not self._leaping:
            self._plan_step()
            return True
        count = decodes.count
        kv_tokens = decodes.kv_tokens()
        window_sum = decodes.window_sum() if decodes.windowed else 0
        line = self._step_time.decode_line(count, kv_tokens, window_sum)
        per_token_s, kv_until = line.per_kv_token_s, line.kv_until
        growth = count * decodes.rate
        first_s = line.base_s + per_token_s * kv_tokens
        slope_s = per_token_s * growth
        if kv_tokens + growth * (steps - 1) > kv_until:
            steps = max(1, int((kv_until - kv_tokens) // growth) + 1)
        if window_sum:
            per_token_s, window_until = line.per_window_token_s, line.window_until
            growth = decodes.window_per_step()
            first_s += per_token_s * window_sum
            slope_s += per_token_s * growth
            if window_sum + growth * (steps - 1) > window_until:
                steps = max(1, int((window_until - window_sum) // growth) + 1)
        flight = self._flight
        flight.begin(self.now_s, first_s, slope_s, steps)
        self._open = still_open = not scheduler.waiting and count < self._most_seqs
        if still_open and self._pending and self._pending[0][0] < flight.end_s:
            self._cut(self._pending[0][0])
        return True

    def _cut(self, ready_s: float) -> None:
        """Shorten the leap to end where somebody ready at that moment may be let in."""
        flight = self._flight
        flight.cut(ready_s, then=1 if self._ahead and ready_s > flight.start_s else 0)

    def _complete(self) -> None:
        """End the steps in flight."""
        flight = self._flight
        decodes = self._decodes
        scheduler = self._scheduler
        steps = flight.steps
        self._last = steps
        flight.steps = 0
        self.now_s = now_s = flight.end_s
        self._steps += steps
        self._busy_s += now_s - flight.start_s
        if steps > 1:
            self.leaps += 1
        finished: list[Sequence] = []
        count = decodes.count
        if count:
            late = scheduler.catching_up
            clock = decodes.clock
            finished = decodes.advance(steps)
            self._output_tokens += count * (decodes.clock - clock)
            if late:
                self._catch_up(count - len(late), late)
            else:
                first_s = flight.first_s
                self._observer.decoded(count, steps, first_s, first_s + flight.slope_s * (steps - 1))
        for sequence in finished:
            self._output_tokens -= decodes.clock - sequence.finish
            scheduler.retire(sequence, linger=self._ahead)
        if scheduler.chunks:
            for sequence, chunk in zip(scheduler.parts, scheduler.chunks, strict=True):
                new = chunk[0]
                self.prompt_tokens += new
                sequence.computed += new
                if chunk[2]:
                    self._sample(sequence, finished)
            scheduler.chunks = []
        if self._aborted:
            finished = self._drop_aborted(finished)
        if finished:
            self._serve(finished)

    def _drop_aborted(self, finished: list[Sequence]) -> list[Sequence]:
        """Let those go who were aborted; return who finished and was not."""
        for sequence in self._aborted:
            if sequence not in finished:
                self._scheduler.drop(sequence, linger=self._ahead)
        aborted, self._aborted = self._aborted, []
        return [sequence for sequence in finished if sequence not in aborted]

    def _serve(self, finished: list[Sequence]) -> None:
        finished_s = self.now_s + self._frontend.after_s
        for one in finished:
            times_s = one.scheduled_s, one.first_token_s, finished_s
            # As `Served(…)`, in a third of the time.
            served = tuple.__new__(Served, (one.request, *times_s, one.preemptions, one.cached_tokens))
            self._observer.served(served)

    def _catch_up(self, on_time: int, late: list[Sequence]) -> None:
        """Tell the gaps of a step in which some sequences have waited for longer than the step."""
        if on_time:
            self._observer.decoded(on_time, 1, self._flight.first_s, self._flight.first_s)
        for sequence in late:
            gap_s = self.now_s - sequence.last_token_s
            self._observer.decoded(1, 1, gap_s, gap_s)
        self._scheduler.catching_up = []

    def _sample(self, sequence: Sequence, finished: list[Sequence]) -> None:
        """Give a sequence whose prompt is computed its next token."""
        scheduler = self._scheduler
        scheduler.prefilling.remove(sequence)
        if sequence.produced:
            gap_s = self.now_s - sequence.last_token_s
            self._observer.decoded(1, 1, gap_s, gap_s)
        else:
            sequence.first_token_s = self.now_s + self._frontend.after_s
        sequence.produced += 1
        self._output_tokens += 1
        remaining = sequence.request.output_tokens - sequence.produced
        if remaining > 0:
            scheduler.used -= sequence.blocks
            self._decodes.join(sequence, remaining)
        else:
            finished.append(sequence)
            scheduler.retire(sequence, linger=self._ahead)
