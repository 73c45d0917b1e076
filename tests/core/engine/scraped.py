"""An engine that is simulated, and the snapshots that its metrics would have given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from enova.core.engine.snapshot import Snapshot
from enova.core.engine.step_time import NO_FRONTEND, Frontend, StepTime
from enova.core.simulate.engine import Engine, Served
from enova.core.simulate.limits import Limits
from enova.core.workload.request import Request

LIMITS = Limits(max_num_seqs=16, max_num_batched_tokens=4096, kv_blocks=100_000)


class Counters:
    """What vLLM counts, as an observer of a simulation."""

    def __init__(self) -> None:
        self.answers: list[Served] = []
        self.gaps = 0
        self.gaps_s = 0.0
        self.seen_s: dict[int, float] = {}
        """When the scheduler saw a request, by its number: after the step that was running when it came."""

    def served(self, served: Served) -> None:
        self.answers.append(served)

    def decoded(self, sequences: int, steps: int, first_s: float, last_s: float) -> None:
        self.gaps += sequences * steps
        self.gaps_s += sequences * steps * (first_s + last_s) / 2

    def rejected(self, request: Request, reason: str) -> None:
        raise AssertionError(reason)


def poisson(rate: float, seconds: float, *, seed: int = 0, prompts: tuple[int, int] = (16, 1500)) -> list[Request]:
    """Return requests of uniform lengths that come independently of each other."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1 / rate, int(rate * seconds)))
    return [
        Request(number, at_s, int(rng.integers(*prompts)), int(rng.integers(16, 200)))
        for number, at_s in enumerate(times.tolist())
    ]


def scraped(
    requests: Sequence[Request], step_time: StepTime, *, every_s: float, frontend: Frontend = NO_FRONTEND
) -> list[Snapshot]:
    """Serve requests, and look at the counters again and again until all is done."""
    counters = Counters()
    engine = Engine(LIMITS, step_time, counters, frontend=frontend, leap=False)
    queue, now_s = list(requests), 0.0
    snapshots: list[Snapshot] = []
    while len(counters.answers) < len(requests) or not snapshots:
        now_s += every_s
        while queue and queue[0].arrival_s <= now_s:
            request = queue.pop(0)
            engine.advance(request.arrival_s)
            ready_s = request.arrival_s + frontend.before_s
            counters.seen_s[request.number] = max(ready_s, engine.next_s) if engine.running else ready_s
            engine.submit(request, request.arrival_s)
        engine.advance(now_s)
        snapshots.append(_snapshot(now_s, engine, counters))
    return snapshots


def _snapshot(now_s: float, engine: Engine, counters: Counters) -> Snapshot:
    answers = counters.answers
    return Snapshot(
        at_s=now_s,
        running=float(engine.running),
        waiting=float(engine.waiting),
        steps=float(engine.steps),
        prompt_tokens=float(engine.prompt_tokens),
        cached_tokens=0.0,
        output_tokens=float(engine.output_tokens),
        first_tokens=float(engine.output_tokens - counters.gaps),
        gaps=float(counters.gaps),
        gaps_s=counters.gaps_s,
        finished=float(len(answers)),
        finished_prompt_tokens=float(sum(answer.request.prompt_tokens for answer in answers)),
        finished_output_tokens=float(sum(answer.request.output_tokens for answer in answers)),
        latency_s=sum(answer.finished_s - answer.request.arrival_s for answer in answers),
        queue_s=sum(max(0.0, answer.scheduled_s - counters.seen_s[answer.request.number]) for answer in answers),
        prefill_s=sum(answer.first_token_s - answer.scheduled_s for answer in answers),
        decode_s=sum(answer.finished_s - answer.first_token_s for answer in answers),
        preemptions=0.0,
    )
