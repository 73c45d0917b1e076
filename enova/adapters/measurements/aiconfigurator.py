"""Tables with aiconfigurator's columns: one closed-loop point a row, with mean TTFT and TPOT."""

from __future__ import annotations

import re
from pathlib import Path

from enova.adapters.measurements.table import Row, read_table
from enova.core.accuracy.point import ServingPoint
from enova.core.engine.setup import Version
from enova.errors import Problem

REQUIRED = ("model_path", "system", "isl", "osl", "batch_size", "tp_size")
TTFT, TPOT = "silicon_ttft_ms", "silicon_tpot_ms"

_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_DATE = re.compile(r"measured=(\d{4}-\d\d-\d\d)")
_OWN_RUNS = re.compile(r"source_file=/(Users|home)/")
_INFERENCEX = re.compile(r"db-dump/|source_file=|silicon_concurrency=")
_MODES = {"float16": "bf16", "bfloat16": "bf16", "fp16": "bf16", "fp4": "nvfp4"}


def read_aiconfigurator(path: Path) -> tuple[list[ServingPoint], list[Problem]]:
    """Return the points of a table, and everything that is wrong with it.

    `batch_size` is the concurrency of one rank of attention data parallelism. Rows of disaggregated serving and of
    other engines than vLLM cannot be read.
    """
    table = read_table(path, required=REQUIRED)
    if not table.problems and not {TTFT, TPOT} & set(table.header):
        table.problems.append(Problem(str(path), 1, 1, "", f"nothing measured: no column {TTFT} or {TPOT}"))
    points = []
    for row in table.rows:
        known = len(table.problems)
        point = _point(row)
        if len(table.problems) == known:
            points.append(point)
    return points, table.problems


def _point(row: Row) -> ServingPoint:
    for name, allowed in (("backend", ("", "vllm")), ("mode", ("", "agg"))):
        if row.text(name) not in allowed:
            row.problem(name, f"{row.text(name)} cannot be compared", f"only rows with {allowed[1]} can")
    for name in ("model_path", "system"):
        if not row.text(name):
            row.problem(name, "a value is missing")
    run = row.text("silicon_data_source")
    ttft_ms, tpot_ms = row.measured(TTFT), row.measured(TPOT)
    data_parallel = row.whole("attention_dp_size", default=1)
    dated = _DATE.search(run)
    return ServingPoint(
        name=row.text("id") or f"{Path(row.file).name}:{row.line}",
        file=row.file,
        line=row.line,
        source=_source(run),
        run=f"{run}; {row.text('backend_version')}",
        measured_on=dated[1] if dated else "",
        model=row.text("model_path"),
        gpu=row.text("system").replace("_", "-"),
        quantisation=_quantisation(row),
        vllm=_version(row.text("backend_version")),
        tensor_parallel=row.whole("tp_size"),
        pipeline_parallel=row.whole("pp_size", default=1),
        data_parallel=data_parallel,
        expert_parallel=row.whole("moe_ep_size", default=1) > 1,
        users=row.whole("batch_size") * data_parallel,
        isl=row.whole("isl"),
        osl=row.whole("osl"),
        ttft_s=None if ttft_ms is None else ttft_ms / 1000,
        tpot_s=None if tpot_ms is None else tpot_ms / 1000,
    )


def _source(run: str) -> str:
    if _OWN_RUNS.search(run):
        return "nvidia"
    return "inferencex" if _INFERENCEX.search(run) else "unknown"


def _quantisation(row: Row) -> str:
    word = row.text("gemm_quant_mode") or row.text("moe_quant_mode") or row.text("precision")
    return _MODES.get(word, word)


def _version(text: str) -> Version | None:
    found = _VERSION.match(text)
    return (int(found[1]), int(found[2])) if found else None
