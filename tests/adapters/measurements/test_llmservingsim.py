"""A folder of a recorded run becomes a run, or problems with their place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from enova.adapters.measurements.llmservingsim import is_run, read_llmservingsim
from enova.core.accuracy.recorded_run import RecordedRequest

META: dict[str, Any] = {
    "model": "org/Model",
    "vllm_version": "0.19.0",
    "started_at": "2026-01-01T00:00:00Z",
    "engine_kwargs": {
        "tensor_parallel_size": 2,
        "max_num_seqs": 64,
        "max_model_len": None,
        "kv_cache_dtype": "auto",
    },
    "kv_cache": {"num_gpu_blocks": 99, "gpu_memory_utilization": 0.8},
}
START = 1767225600.0
"""started_at as Unix time."""


def record(queued: float, first: float, last: float, tokens: tuple[int, int] = (10, 5)) -> dict[str, Any]:
    return {
        "input_toks": tokens[0],
        "output_toks": tokens[1],
        "arrival_time": START + queued - 100.0 + 0.5,
        "queued_ts": queued,
        "first_token_ts": first,
        "last_token_ts": last,
    }


def folder(path: Path, *lines: str, meta: dict[str, Any] = META) -> Path:
    (path / "meta.json").write_text(json.dumps(meta))
    (path / "config.json").write_text('{"nodes": [{"instances": [{"hardware": "RTX4090"}]}]}')
    (path / "requests.jsonl").write_text("\n".join(lines) + "\n")
    (path / "timeseries.csv").write_text("t,running,waiting\n1.0,3,0\n2.0,4,1\n")
    return path


def test_a_run_has_its_requests_on_a_clock_that_starts_with_the_first(tmp_path: Path) -> None:
    lines = [json.dumps(record(100.0, 100.5, 102.0)), json.dumps(record(101.0, 101.25, 104.0, (20, 7)))]

    run, problems = read_llmservingsim(folder(tmp_path, *lines))

    assert problems == []
    assert run is not None
    assert run.requests == (RecordedRequest(0.0, 10, 5, 0.5, 2.0), RecordedRequest(1.0, 20, 7, 1.25, 4.0))
    assert (run.model, run.gpu, run.vllm, run.tensor_parallel, run.kv_blocks) == (
        "org/Model",
        "RTX4090",
        (0, 19),
        2,
        99,
    )
    assert run.engine == {"max_num_seqs": 64, "gpu_memory_utilization": 0.8}


def test_ticks_are_on_the_clock_of_the_requests(tmp_path: Path) -> None:
    run, _ = read_llmservingsim(folder(tmp_path, json.dumps(record(100.0, 100.5, 102.0))))

    # The first request came half a second after the recorder started.
    assert run is not None
    assert [tick.at_s for tick in run.ticks] == pytest.approx([0.5, 1.5], abs=1e-6)
    assert [(tick.running, tick.waiting) for tick in run.ticks] == [(3, 0), (4, 1)]


def test_every_record_that_will_not_do_is_told_with_its_line(tmp_path: Path) -> None:
    lines = [
        json.dumps(record(100.0, 100.5, 102.0)),
        "{broken",
        json.dumps(record(1.0, 2.0, 3.0) | {"input_toks": 0, "queued_ts": "x"}),
        "[]",
    ]

    run, problems = read_llmservingsim(folder(tmp_path, *lines))

    assert run is None
    assert [(problem.line, problem.path) for problem in problems] == [
        (2, ""),
        (3, "queued_ts"),
        (3, "input_toks"),
        (4, ""),
    ]


def test_a_run_that_does_not_say_its_version_is_a_problem_of_its_meta_file(tmp_path: Path) -> None:
    meta = {key: value for key, value in META.items() if key != "vllm_version"}

    run, (problem,) = read_llmservingsim(folder(tmp_path, json.dumps(record(1.0, 2.0, 3.0)), meta=meta))

    assert run is None
    assert problem.file.endswith("meta.json")
    assert "vllm_version" in problem.message


def test_only_folders_with_meta_and_requests_are_runs(tmp_path: Path) -> None:
    assert not is_run(tmp_path)
    assert is_run(folder(tmp_path))
