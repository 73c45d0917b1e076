"""A closed-loop benchmark: so many users, each sending its next request when its last one was answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from enova.core.workload.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """All users start at once, and take the next request in order as soon as they are free.

    This is `--max-concurrency USERS --request-rate inf` of vLLM's benchmark client and of those derived from it.
    Its warm-up requests are over before the first of these is sent and are not counted, so they are left out.
    """

    users: int
    prompt_tokens: tuple[int, ...]
    output_tokens: tuple[int, ...]
    prompts: tuple[int, ...] = ()
    """Which prompt each request has, where they repeat; empty: no two have anything in common."""
    uncounted: int = 0
    """So many requests, the first ones, are sent but are not in the means."""

    def requests(self) -> Iterator[Request]:
        """Yield the requests in the order they are sent, all at time 0."""
        for number, (prompt, output) in enumerate(zip(self.prompt_tokens, self.output_tokens, strict=True)):
            if self.prompts:
                yield Request(number, 0.0, prompt, output, prefix=self.prompts[number], prefix_tokens=prompt)
            else:
                yield Request(number, 0.0, prompt, output)


def random_lengths(
    isl: int, osl: int, prompts: int, *, range_ratio: float, seed: int = 0
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the prompt and output lengths the benchmark client of InferenceX draws, to the token.

    Uniform in [range_ratio * L, L], prompts first, from NumPy's legacy generator, seeded with 0 unless told
    otherwise (SemiAnalysisAI/InferenceX utils/bench_serving/benchmark_serving.py, `sample_random_requests`).
    """
    legacy = np.random.RandomState(seed)
    drawn = [
        tuple(legacy.randint(int(length * range_ratio), length + 1, size=prompts).tolist())
        for length in (isl, osl)
    ]
    return drawn[0], drawn[1]


def repeated_prompts(distinct: int, requests: int, *, seed: int = 0) -> tuple[int, ...]:
    """Return which of `distinct` prompts each request has, all of them equally likely each time."""
    return tuple(np.random.RandomState(seed).randint(0, distinct, size=requests).tolist())
