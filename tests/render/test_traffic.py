"""Traffic is told in a few words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from enova.core.spec.injection import Injection
from enova.core.workload.load import load_of
from enova.core.workload.recording import Recording
from enova.render.traffic import traffic_parts, traffic_words

FIXED = {"distribution": "fixed", "tokens": 1000}
ROWS = Recording(at_s=np.array([0.0, 1.0]), prompt_tokens=np.array([5, 6]), output_tokens=np.array([7, 8]))


def words(**injection: Any) -> str:
    defaults = {"arrival": {"process": "poisson", "rate": "20/s"}, "prompt_tokens": FIXED, "output_tokens": FIXED}
    read = {"d.jsonl": ROWS, "t.csv": ROWS}
    return traffic_words(load_of(Injection.model_validate(defaults | injection), recordings=read))


@pytest.mark.parametrize(
    ("arrival", "said"),
    [
        ({"process": "poisson", "rate": "90/min"}, "poisson 1.5/s"),
        ({"process": "constant", "rate": "2/s"}, "constant 2/s"),
        ({"process": "gamma", "rate": "2/s", "cv": 2.5}, "2/s in bursts (cv 2.5)"),
        ({"process": "normal", "rate": "20/s", "std": "5/s"}, "20/s ± 5/s"),
        ({"process": "diurnal", "low": "2/s", "high": "40/s"}, "2/s to 40/s every 1d"),
        (
            {
                "process": "stages",
                "stages": [{"duration": "5m", "rate": "1/s"}, {"duration": "1m", "rate": "1/s", "to_rate": "9/s"}],
            },
            "1/s for 5m > 1/s to 9/s for 1m",
        ),
        ({"process": "trace", "file": "t.csv", "speed": 2.0}, "t.csv at 2 times its speed"),
        ({"process": "closed_loop", "users": 1}, "1 user who waits for each answer"),
        (
            {"process": "closed_loop", "users": 64, "think_time": "2s"},
            "64 users who wait for each answer and think for 2s",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_every_process_has_its_words(arrival: dict[str, Any], said: str) -> None:
    assert words(arrival=arrival) == f"{said}; prompts 1,000, answers 1,000"


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ({"distribution": "uniform", "min": 10, "max": 2000}, "10-2,000"),
        ({"distribution": "normal", "mean": 500, "std": 99.5}, "normal 500 ± 100"),
        ({"distribution": "lognormal", "mean": 500, "std": 700}, "lognormal 500 ± 700"),
        ({"distribution": "empirical", "values": [7, 9000]}, "of 2 lengths, 7-9,000"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_every_distribution_has_its_words(lengths: dict[str, Any], said: str) -> None:
    assert words(output_tokens=lengths) == f"poisson 20/s; prompts 1,000, answers {said}"


def test_what_is_recorded_is_said_to_be() -> None:
    trace = {"process": "trace", "file": "t.csv"}

    assert words(arrival=trace, prompt_tokens=None, output_tokens=None) == (
        "t.csv; prompts as recorded, answers as recorded"
    )
    assert words(prompt_tokens=None, output_tokens=None, dataset="d.jsonl") == (
        "poisson 20/s; prompts as in d.jsonl, answers as in d.jsonl"
    )


def test_classes_and_prefixes_are_told_one_by_one() -> None:
    chat = {"name": "chat", "weight": 3, "prompt_tokens": FIXED, "output_tokens": FIXED}
    injection = {
        "arrival": {"process": "poisson", "rate": "20/s"},
        "classes": [
            chat | {"shared_prefix": {"tokens": 400, "count": 10}},
            chat | {"name": "code", "weight": 1, "shared_prefix": {"tokens": 50}},
        ],
    }

    assert traffic_parts(load_of(Injection.model_validate(injection))) == [
        "poisson 20/s",
        "chat (3): prompts 1,000, one of 10 prefixes of 400, answers 1,000",
        "code (1): prompts 1,000, a prefix of 50, answers 1,000",
    ]
