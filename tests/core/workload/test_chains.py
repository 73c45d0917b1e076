"""What recorded prompts share is found again as the beginnings of requests."""

from __future__ import annotations

import numpy as np
import pytest

from enova.core.spec.injection import Injection
from enova.core.workload.chains import chains_of
from enova.core.workload.load import load_of
from enova.core.workload.recording import Recording


@pytest.mark.parametrize(
    ("prompts", "chains", "shared"),
    [
        ([], [], []),
        ([[1, 2], [3]], [-1, -1], [0, 0]),
        ([[1, 2], [1, 2]], [0, 0], [2, 2]),
        # A conversation: each turn begins with the last one. What only the last turn has is its own.
        ([[1, 2], [1, 2, 3], [1, 2, 3, 4, 5]], [0, 0, 0], [2, 3, 3]),
        # Many prompts behind one beginning, which go nowhere from there.
        ([[1, 2], [1, 3], [1, 4]], [0, 0, 0], [1, 1, 1]),
        # Two conversations that part after the first block.
        ([[1, 2], [1, 3], [1, 2, 4], [1, 3, 5], [1, 2, 4]], [0, 1, 0, 1, 0], [2, 2, 3, 2, 3]),
    ],
)
def test_prompts_become_chains(prompts: list[list[int]], chains: list[int], shared: list[int]) -> None:
    assert chains_of(prompts) == (chains, shared)


def test_a_trace_is_played_with_what_its_prompts_share() -> None:
    rows = Recording(
        at_s=np.array([0.0, 1.0, 2.0]),
        prompt_tokens=np.array([600, 1100, 50]),
        output_tokens=np.array([1, 1, 1]),
        prefixes=(np.array([0, 0, -1]), np.array([512, 512, 0])),
    )
    trace = {"arrival": {"process": "trace", "file": "t.jsonl"}}
    played = Injection.model_validate(trace)
    other = Injection.model_validate(trace | {"prompt_tokens": {"distribution": "fixed", "tokens": 7}})

    def shared(injection: Injection) -> list[tuple[int, int]]:
        load = load_of(injection, recordings={"t.jsonl": rows})
        return [(request.prefix, request.prefix_tokens) for request in load.requests()]

    assert shared(played) == [(0, 512), (0, 512), (-1, 0)]
    assert shared(other) == [(-1, 0)] * 3
