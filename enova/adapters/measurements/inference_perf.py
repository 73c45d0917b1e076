"""Folders of inference-perf's stages (stages.csv) with the manifests of the engines that were loaded.

Stages are open loops at a steady rate. Where an engine could not keep up, the client's own limit of connections
made a closed loop of them, and they are read as that.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from enova.adapters.measurements.table import Row, read_table
from enova.core.workload.report import InjectionReport
from enova.errors import Problem

STAGES, CONFIG = "stages.csv", "config.yaml"
REQUIRED = ("config", "stage", "n_ok", "requested_rate", "achieved_rate", "ttft_mean_s", "e2e_mean_s")

GPU = "h100-sxm"
"""Of the runs published with KubeCon North America 2025; manifests do not tell."""
KEPT_UP = 0.98
"""Share of the requested rate that must have been served for a stage to be an open loop."""
_STATISTICS = {"mean": "mean", "median": "p50", "p90": "p90", "p95": "p95", "p99": "p99"}
_FLAG = re.compile(r"^--(?:(no)-)?(?:enable-)?([a-z_-]+)(?:[= ](.+))?$")
_SETTINGS = {
    "max-model-len": "max_model_len",
    "max-num-seqs": "max_num_seqs",
    "max-num-batched-tokens": "max_num_batched_tokens",
    "gpu-memory-utilization": "gpu_memory_utilization",
    "prefix-caching": "prefix_caching",
    "chunked-prefill": "chunked_prefill",
}


def is_inference_perf(path: Path) -> bool:
    """Return whether a path is such a folder."""
    return (path / STAGES).is_file() and (path / CONFIG).is_file()


def read_inference_perf(folder: Path) -> tuple[list[tuple[str, InjectionReport]], list[Problem]]:
    """Return a report for each stage with its place, and everything that is wrong.

    Stages of engines that Enova does not model (vLLM before V1, drafts, bitsandbytes) are left out.
    """
    table = read_table(folder / STAGES, required=REQUIRED)
    try:
        client = _client(folder / CONFIG)
    except (YAMLError, LookupError, TypeError, ValueError) as error:
        return [], [*table.problems, Problem(str(folder / CONFIG), 0, 0, "", f"not understood: {error!r}")]
    reports = []
    for row in table.rows:
        engine = _engine(folder / f"{row.text('config')}__manifests.yaml")
        report = None if engine is None else _report(row, engine, client)
        if report is not None:
            reports.append((f"{row.file}:{row.line}", report))
    return reports, table.problems


class _Client(NamedTuple):
    connections: int
    prompts: int
    """All different; requests take turns with them."""


def _client(config: Path) -> _Client:
    told = YAML(typ="safe").load(config.read_text(encoding="utf-8"))
    load, data = told["load"], told["data"]["shared_prefix"]
    return _Client(
        int(load["num_workers"]) * int(load["worker_max_concurrency"]),
        int(data["num_unique_system_prompts"]) * int(data["num_users_per_system_prompt"]),
    )


def _engine(manifest: Path) -> dict[str, object] | None:
    """Return version and settings of an engine, None for one that is not modelled."""
    if not manifest.is_file():
        return None
    text = manifest.read_text(encoding="utf-8")
    image = re.search(r"image:\s*vllm/vllm-openai:v(\d+\.\d+)", text)
    model = re.search(r"name:\s*MODEL_ID\s+value:\s*(\S+)", text)
    arguments = [
        match.strip("\"' ") for match in re.findall(r"^\s*-\s+(?:args:\n\s*-\s+)?(['\"]--.+)$", text, re.MULTILINE)
    ]
    settings: dict[str, bool | int | float] = {}
    for argument in arguments:
        flag = _FLAG.match(argument)
        name = flag[2].replace("_", "-") if flag else ""
        if name == "model":
            continue
        if flag is None or name not in _SETTINGS:
            return None
        value = flag[3]
        settings[_SETTINGS[name]] = (
            flag[1] is None if value is None else float(value) if "." in value else int(value)
        )
    if image is None or model is None or tuple(map(int, image[1].split("."))) < (0, 10):
        return None
    return {"model": model[1], "gpu": GPU, "vllm": image[1], "setup": settings}


def _report(row: Row, engine: dict[str, object], client: _Client) -> InjectionReport | None:
    """Return the report of a stage, None if figures are wrong, which the row notes."""
    known = len(row.problems)
    requested, achieved = row.number("requested_rate"), row.number("achieved_rate")
    prompt, output = row.number("prompt_len_mean"), row.number("output_len_mean", above=1.0)
    ttft_s, e2e_s, served = row.number("ttft_mean_s"), row.number("e2e_mean_s"), row.whole("n_ok")
    latencies = {
        metric: {ours: row.measured(f"{metric}_{theirs}_s") for theirs, ours in _STATISTICS.items()}
        for metric in ("ttft", "e2e")
    }
    if len(row.problems) > known:
        return None
    arrival: dict[str, object] = {"process": "constant", "rate": f"{requested}/s"}
    keeps_up = achieved >= KEPT_UP * requested
    if not keeps_up:
        arrival = {"process": "closed_loop", "users": client.connections}
    injection = {
        "arrival": arrival,
        "prompt_tokens": {"distribution": "fixed", "tokens": round(prompt)},
        "output_tokens": {"distribution": "fixed", "tokens": round(output)},
        "shared_prefix": {"tokens": round(prompt), "count": client.prompts},
    }
    found = {
        "served": served,
        "duration_s": served / achieved,
        "requests_per_s": None if keeps_up else achieved,
        # The tool's own TPOT counts two tokens for each chunk.
        "tpot": {"mean": max(0.0, e2e_s - ttft_s) / (output - 1)},
        **latencies,
    }
    return InjectionReport.model_validate(
        {
            "name": f"{row.text('config')} {row.text('stage')}",
            "tested": engine,
            "sent": {"requests": served, "injection": injection},
            "found": found,
        }
    )
