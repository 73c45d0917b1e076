"""Tables of what vLLM logs of its memory at start-up, one start a row."""

from __future__ import annotations

from pathlib import Path

from enova.adapters.measurements.table import Row, read_table
from enova.core.accuracy.start_up import StartUp
from enova.errors import Problem

REQUIRED = ("status", "model", "gpu", "tp", "max_model_len", "kv_cache_tokens", "kv_cache_blocks")

_VLLM = (0, 19)
"""Of all rows that do not say, those of llm-d-planner among them."""
_GIB = 1 << 30
_COLUMNS = {
    "weights": "weights_memory_gib",
    "activations": "activation_memory_gib",
    "cuda_graphs": "cuda_graph_actual_gib",
    "kv_memory": "kv_cache_memory_gib",
    "kv_tokens": "kv_cache_tokens",
    "kv_blocks": "kv_cache_blocks",
    "max_concurrency": "max_concurrency",
}
_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32", "": "bf16"}


def read_start_ups(path: Path) -> tuple[list[StartUp], list[Problem]]:
    """Return the starts of a table, and everything that is wrong with it.

    Failed starts are kept as far as their row says what was tried; the others say nothing to compare.
    """
    table = read_table(path, required=REQUIRED)
    starts = []
    for row in table.rows:
        if not row.text("model") or not row.text("tp"):
            continue
        known = len(table.problems)
        start = _start(row)
        if len(table.problems) == known:
            starts.append(start)
    return starts, table.problems


def _start(row: Row) -> StartUp:
    status, dtype = row.text("status"), row.text("dtype").removeprefix("torch.")
    if status not in ("ok", "failed"):
        row.problem("status", f"{status!r} is neither ok nor failed")
    if dtype not in _DTYPES:
        row.problem("dtype", f"{dtype} is not known", f"one of {', '.join(filter(None, _DTYPES))}")
    quantisation, total_gib = row.text("quantization"), row.measured("init_total_memory_gib")
    measured = {name: row.measured(column) for name, column in _COLUMNS.items()}
    return StartUp(
        name=row.text("log_file") or f"{Path(row.file).name}:{row.line}",
        file=row.file,
        line=row.line,
        source="vllm start-up",
        model=row.text("model"),
        gpu=row.text("gpu"),
        vllm=_VLLM,
        started=status == "ok",
        tensor_parallel=row.whole("tp"),
        pipeline_parallel=row.whole("pp", default=1),
        data_parallel=row.whole("dp", default=1),
        max_model_len=row.whole("max_model_len"),
        dtype=_DTYPES.get(dtype, "bf16"),
        quantisation="" if quantisation == "None" else quantisation,
        kv_cache=row.text("kv_cache_dtype") or "auto",
        gpu_memory_utilization=row.number("gpu_memory_utilization", default=0.9),
        memory_bytes=None if total_gib is None else int(total_gib * _GIB),
        measured={name: value for name, value in measured.items() if value is not None},
    )
