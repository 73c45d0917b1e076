"""Folders of LLMServingSim's runs of real vLLM: meta.json, config.json, requests.jsonl, timeseries.csv."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from enova.adapters.measurements.table import read_table
from enova.core.accuracy.recorded_run import RecordedRequest, RecordedRun, Tick
from enova.errors import Problem

META, REQUESTS, SERIES, HARDWARE = "meta.json", "requests.jsonl", "timeseries.csv", "config.json"

_SETTINGS = {
    "max_num_seqs": "max_num_seqs",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "max_model_len": "max_model_len",
    "kv_cache_dtype": "kv_cache",
    "block_size": "block_size",
    "gpu_memory_utilization": "gpu_memory_utilization",
    "enable_prefix_caching": "prefix_caching",
    "kv_cache_memory_bytes": "kv_cache_bytes",
}
_TIMES = ("queued_ts", "first_token_ts", "last_token_ts")
_COUNTS = ("input_toks", "output_toks")


def is_run(path: Path) -> bool:
    """Return whether a path is such a folder."""
    return (path / META).is_file() and (path / REQUESTS).is_file()


def read_llmservingsim(folder: Path) -> tuple[RecordedRun | None, list[Problem]]:
    """Return the run in a folder, None if anything in it is wrong, and everything that is."""
    problems: list[Problem] = []
    meta = _object(folder / META, problems)
    records = _records(folder / REQUESTS, problems)
    hardware = _object(folder / HARDWARE, problems) if (folder / HARDWARE).exists() else {}
    run = None
    if not problems:
        try:
            run = _run(folder, meta, hardware, records)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            what = f"lacks {error}" if isinstance(error, (KeyError, IndexError)) else f"does not fit: {error}"
            problems.append(Problem(str(folder / META), 0, 0, "", what))
    if run is None:
        return None, problems
    return run, problems


def _run(folder: Path, meta: Any, hardware: Any, records: list[dict[str, float]]) -> RecordedRun:
    given = meta["engine_kwargs"]
    cache = meta.get("kv_cache", {})
    major, minor = str(meta["vllm_version"]).split(".")[:2]
    start_s = min(record["queued_ts"] for record in records)
    requests = tuple(
        RecordedRequest(
            record["queued_ts"] - start_s,
            int(record["input_toks"]),
            int(record["output_toks"]),
            record["first_token_ts"] - start_s,
            record["last_token_ts"] - start_s,
        )
        for record in records
    )
    settings = {name: given.get(key, cache.get(key)) for key, name in _SETTINGS.items()}
    return RecordedRun(
        name=folder.name,
        file=str(folder),
        source="llmservingsim",
        model=str(meta["model"]),
        gpu=_gpu(meta, hardware),
        vllm=(int(major), int(minor)),
        engine={name: value for name, value in settings.items() if value not in (None, "auto")},
        tensor_parallel=int(given.get("tensor_parallel_size", 1)),
        data_parallel=int(given.get("data_parallel_size", 1)),
        expert_parallel=bool(given.get("enable_expert_parallel", False)),
        kv_blocks=cache.get("num_gpu_blocks"),
        requests=requests,
        ticks=_ticks(folder / SERIES, _began_s(meta, records)),
    )


def _gpu(meta: Any, hardware: Any) -> str:
    device = meta.get("hardware", {}).get("device_name")
    if device:
        return str(device)
    return str(hardware["nodes"][0]["instances"][0]["hardware"])


def _began_s(meta: Any, records: list[dict[str, float]]) -> float:
    """Return when the recorder started, on the clock of the run: before its first request, by the wall clock."""
    first = min(records, key=lambda record: record["queued_ts"])
    if "started_at" not in meta or "arrival_time" not in first:
        return 0.0
    return datetime.fromisoformat(meta["started_at"]).timestamp() - first["arrival_time"]


def _ticks(path: Path, began_s: float) -> tuple[Tick, ...]:
    if not path.exists():
        return ()
    table = read_table(path, required=("t", "running", "waiting"))
    ticks = tuple(
        Tick(
            row.number("t") + began_s,
            row.whole("running", default=0, at_least=0),
            row.whole("waiting", default=0, at_least=0),
        )
        for row in table.rows
    )
    return () if table.problems else tuple(tick for tick in ticks if tick.at_s >= 0)


def _object(path: Path, problems: list[Problem]) -> Any:
    return _parsed(path.read_text(encoding="utf-8", errors="replace"), str(path), 1, problems)


def _records(path: Path, problems: list[Problem]) -> list[dict[str, float]]:
    records = []
    for line, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if text.strip():
            found = _parsed(text, str(path), line, problems)
            if found is not None and _complete(found, str(path), line, problems):
                records.append(found)
    if not records and not problems:
        problems.append(Problem(str(path), 0, 0, "", "no requests"))
    return records


def _complete(record: Any, file: str, line: int, problems: list[Problem]) -> bool:
    if not isinstance(record, dict):
        problems.append(Problem(file, line, 1, "", "not an object"))
        return False
    fits: dict[str, Callable[[Any], bool]] = {
        **{key: lambda value: isinstance(value, (int, float)) for key in _TIMES},
        **{key: lambda value: isinstance(value, int) and value > 0 for key in _COUNTS},
    }
    wrong = [key for key, fit in fits.items() if not fit(record.get(key))]
    problems += [Problem(file, line, 1, key, f"{record.get(key)!r} will not do") for key in wrong]
    return not wrong


def _parsed(text: str, file: str, line: int, problems: list[Problem]) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        problems.append(Problem(file, line + error.lineno - 1, error.colno, "", f"not JSON: {error.msg}"))
        return None
