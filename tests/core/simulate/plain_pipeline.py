"""An engine of several pipeline stages, followed batch by batch, as vLLM keeps them in its queue.

Only for comparison: prompts are cut as the budget goes, but the KV cache is endless and everyone has a seat.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from enova.core.engine.step_time import Chunk, StepTime
from enova.core.workload.request import Request


@dataclass(eq=False)
class Plain:
    request: Request
    computed: int = 0
    produced: int = 0
    in_flight: bool = False
    """Whether its next token is being made."""
    first_token_s: float = 0.0
    finished_s: float = 0.0


class Part(NamedTuple):
    sequence: Plain
    new_tokens: int
    """Of its prompt; 0: it decodes."""
    samples: bool


class Pipeline:
    """`whole` says what a batch takes in all layers, of which each stage has an equal share."""

    def __init__(self, whole: StepTime, stages: int, budget: int) -> None:
        self._whole = whole
        self._budget = budget
        self._free_s = [0.0] * stages
        self._batches: deque[tuple[float, list[Part]]] = deque()
        """In flight, with their ends."""
        self._present: list[Plain] = []

    def serve(self, requests: Sequence[Request]) -> list[Plain]:
        """Return what became of requests, which come in this order."""
        every = [Plain(request) for request in requests]
        coming = deque(every)
        now_s = 0.0
        while coming or self._present:
            while coming and coming[0].request.arrival_s <= now_s:
                self._present.append(coming.popleft())
            room = len(self._batches) < len(self._free_s)
            batch = self._next_batch() if room else []
            if batch:
                self._send(batch, now_s)
                continue
            arrival_s = coming[0].request.arrival_s if coming and room else inf
            if self._batches and self._batches[0][0] <= arrival_s:
                end_s, batch = self._batches.popleft()
                now_s = max(now_s, end_s)
                self._receive(batch, now_s)
            else:
                now_s = max(now_s, arrival_s)
        return every

    def _next_batch(self) -> list[Part]:
        """Return all who are in no batch, as far as the budget goes."""
        left = self._budget
        batch = []
        for one in self._present:
            prompt = one.request.prompt_tokens
            wanted = 0 if one.in_flight else prompt - one.computed or 1
            if tokens := min(wanted, left):
                decodes = one.computed == prompt
                batch.append(Part(one, 0 if decodes else tokens, decodes or tokens == wanted))
                left -= tokens
        return batch

    def _send(self, batch: list[Part], now_s: float) -> None:
        chunks = [
            Chunk(part.new_tokens, part.sequence.computed, part.samples) for part in batch if part.new_tokens
        ]
        contexts = [p.sequence.computed + p.sequence.produced for p in batch if not p.new_tokens]
        stage_s = self._whole.step_s(chunks, len(contexts), sum(contexts), 0) / len(self._free_s)
        for part in batch:
            part.sequence.computed += part.new_tokens
            part.sequence.in_flight = part.samples
        end_s = now_s
        for stage, free_s in enumerate(self._free_s):
            self._free_s[stage] = end_s = max(end_s, free_s) + stage_s
        self._batches.append((end_s, batch))

    def _receive(self, batch: list[Part], now_s: float) -> None:
        for one, _, samples in batch:
            if samples:
                one.in_flight = False
                one.produced += 1
                one.first_token_s = one.first_token_s or now_s
                one.finished_s = now_s
        self._present = [one for one in self._present if one.produced < one.request.output_tokens]
