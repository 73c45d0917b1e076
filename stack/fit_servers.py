"""Fit enova/facts/coefficients.json to measured servers, and say how far off points are that were left out.

    uv run python stack/fit_servers.py [--dry-run]

Reads the 965 measured points of vLLM in $ENOVA_SHARED. Every coefficient has a prior (its value and how far it may
be off), so that what no point tells about stays where physics or kernel tables put it. The fit is Gauss-Newton on
the logarithms of predicted over measured, robust, with the derivatives of the simulation itself. It is repeated
without each model and without each GPU; those coefficients are kept beside the others, and `make accuracy` scores
with them what they have not seen.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from enova.adapters.curves import measured_curves
from enova.adapters.measurements.aiconfigurator import read_aiconfigurator
from enova.cli.accuracy import a_judge
from enova.core.accuracy.point import ServingPoint
from enova.core.accuracy.predictor import Predictor
from enova.core.engine.curves import Coefficients, Curves, FrontendTimes
from enova.core.engine.numbers import Numbers

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("ENOVA_SHARED", ROOT.parent / "shared"))
POINTS = SHARED / "data/serving_latency/aiconfigurator/measured_vllm.csv"

PRIORS: dict[str, tuple[float, float]] = {
    # Over the kernel tables: 1, unless whole servers are known to differ. The same of experts below.
    "gemm_fp8": (1.0, 0.15),
    "gemm_fp8_block": (1.2, 0.25),
    "gemm_nvfp4": (0.97, 0.15),
    "gemm_bf16": (0.9, 0.15),
    "gemm_flops_hopper": (0.15, 0.7),
    "gemm_flops_blackwell": (0.15, 0.7),
    "head": (1.06, 0.2),
    "attention": (1.2, 0.4),
    "attention_bytes": (1.03, 0.2),
    "prompt_attention": (1.0, 0.25),
    # Norms and activations reach two thirds of a memory's bandwidth.
    "elementwise": (1.5, 0.4),
    # Experts over the tables of the format they are multiplied in. Marlin, which multiplies INT4, and MXFP4 on
    # Hopper, is as fast as BF16 on an L40S in the tables, but uses instructions that reach 60 % of what Hopper's
    # own do, and are no faster on Blackwell.
    "expert_launch": (1.0, 0.3),
    "expert_bytes_fp8_block": (1.0, 0.2),
    "expert_bytes_nvfp4": (1.0, 0.2),
    "expert_bytes_int4_hopper": (1.4, 0.3),
    "expert_bytes_int4_blackwell": (2.0, 0.4),
    "expert_bytes_mxfp4": (0.9, 0.2),
    "expert_flops_fp8_block": (1.0, 0.4),
    "expert_flops_nvfp4": (1.0, 0.4),
    "expert_flops_int4_hopper": (1.6, 0.4),
    "expert_flops_int4_blackwell": (3.0, 0.4),
    "expert_flops_mxfp4_hopper": (1.6, 0.4),
    "expert_flops_mxfp4_blackwell": (1.0, 0.4),
    "expert_rows": (1.0, 0.4),
    # Ranks wait for each other.
    "allreduce_launch": (1.3, 0.3),
    "layer_s_hopper": (20e-6, 0.5),
    "layer_s_blackwell": (9e-6, 0.5),
    "step_s": (2e-4, 1.0),
    # Sampling; what the host does for a sequence is hidden behind the GPU where scheduling is asynchronous.
    "sequence_s": (3e-6, 0.4),
    "host_sequence_s": (9e-6, 0.3),
    "prompt_token_s": (2e-7, 1.0),
    # Points with prompts of 1,000 tokens and more tell little of what every step with prompts costs;
    # inference-perf's stages, with prompts of 200, do, and are where it comes from, with what the host needs for a
    # sequence and the time before the scheduler sees a request.
    "prompt_step_s": (0.6e-3, 0.3),
    # aiconfigurator adds 0.8 ms a layer to vLLM's prompts, whatever the GPU does meanwhile. A layer is a dozen
    # kernels, at 20 us and more for each through PyTorch; FlashInfer's, on Blackwell, have more of Python around
    # them, and experts as many kernels again.
    "launch_layer_s_hopper": (350e-6, 0.4),
    "launch_layer_s_blackwell": (600e-6, 0.4),
    "launch_experts_s": (500e-6, 0.5),
    "eager_layer_s": (700e-6, 0.3),
    "before_s": (14e-3, 0.2),
    "before_s_per_prompt_token": (1e-6, 1.0),
    "after_s": (2e-3, 0.6),
}
NAMES = tuple(PRIORS)
PRIOR = np.log([value for value, _ in PRIORS.values()])
WIDTH = np.array([width for _, width in PRIORS.values()])
WEIGHTS = np.array([0.7, 1.0])
"""Of TTFT and TPOT; the first is noisier."""
ERROR = 0.12
"""Typical error of one point; how much priors weigh against points."""
ROBUST = 0.08
"""From errors of this size on, points count less."""
STEP = 0.05
ROUNDS = 3
MOST_USERS, LONGEST_TTFT_S = 64, 4.0
"""Points beyond are not fitted to: they say more about KV capacity than about time."""

INT4 = (Numbers.INT4, Numbers.INT4_G32)


def curves_of(logs: np.ndarray) -> Curves:
    """Return the curves with coefficients by their logarithms in the order of NAMES."""
    value = dict(zip(NAMES, np.exp(logs).tolist(), strict=True))

    def between(name: str, family: str) -> float:
        if family in ("hopper", "blackwell"):
            return value[f"{name}_{family}"]
        return math.sqrt(value[f"{name}_hopper"] * value[f"{name}_blackwell"])

    def coefficients(family: str) -> Coefficients:
        bf16 = value["gemm_bf16"]
        gemm = dict.fromkeys(Numbers, bf16) | {
            Numbers.FP8: value["gemm_fp8"],
            Numbers.INT8: value["gemm_fp8"],
            Numbers.FP8_BLOCK: value["gemm_fp8_block"],
            Numbers.NVFP4: value["gemm_nvfp4"],
            Numbers.INT4: 1.3,
            Numbers.INT4_G32: 1.3,
            Numbers.MXFP4: 1.1,
        }
        own = family in ("hopper", "blackwell")
        read, multiplied = (
            dict.fromkeys(Numbers, 1.0)
            | {
                Numbers.FP8_BLOCK: value[f"expert_{part}_fp8_block"],
                Numbers.NVFP4: value[f"expert_{part}_nvfp4"],
            }
            for part in ("bytes", "flops")
        )
        if own:
            read |= dict.fromkeys(INT4, value[f"expert_bytes_int4_{family}"])
            multiplied |= dict.fromkeys(INT4, value[f"expert_flops_int4_{family}"])
            read[Numbers.MXFP4] = value["expert_bytes_mxfp4"]
            multiplied[Numbers.MXFP4] = value[f"expert_flops_mxfp4_{family}"]
        return Coefficients(
            gemm=gemm,
            gemm_flops=between("gemm_flops", family),
            head=value["head"],
            attention=value["attention"],
            attention_bytes=value["attention_bytes"],
            prompt_attention=value["prompt_attention"],
            elementwise=value["elementwise"],
            expert_launch=value["expert_launch"],
            expert_bytes=read,
            expert_flops=multiplied,
            expert_rows=value["expert_rows"],
            allreduce_launch=value["allreduce_launch"],
            layer_s=between("layer_s", family),
            step_s=value["step_s"],
            sequence_s=value["sequence_s"],
            host_sequence_s=value["host_sequence_s"],
            prompt_token_s=value["prompt_token_s"],
            prompt_step_s=value["prompt_step_s"],
            launch_layer_s=between("launch_layer_s", family),
            launch_experts_s=value["launch_experts_s"],
            eager_layer_s=value["eager_layer_s"],
        )

    return replace(
        measured_curves(),
        coefficients={family: coefficients(family) for family in ("any", "ada", "hopper", "blackwell")},
        frontend=FrontendTimes(
            **{name: value[name] for name in ("before_s", "before_s_per_prompt_token", "after_s")}
        ),
    )


def errors_of(points: Sequence[ServingPoint], logs: np.ndarray) -> np.ndarray:
    """Return logarithms of predicted over measured, [points, (TTFT, TPOT)]."""
    predictor = replace(PREDICTOR, curves=curves_of(logs), _known={})
    return np.array([_errors(predictor, point) for point in points])


def _errors(predictor: Predictor, point: ServingPoint) -> tuple[float, float]:
    means = predictor.means(point)
    return math.log(means.ttft_s / (point.ttft_s or math.nan)), math.log(means.tpot_s / (point.tpot_s or math.nan))


PREDICTOR = a_judge().predictor


def to_fit(points: Sequence[ServingPoint]) -> list[ServingPoint]:
    """Return the points to fit to: one of each kind, of InferenceX, not overloaded, fewer of the long ones."""
    chosen, seen = [], set()
    for point in points:
        key = (
            point.model,
            point.gpu,
            point.quantisation,
            point.isl,
            point.osl,
            point.tensor_parallel,
            point.users,
        )
        if (
            point.source == "inferencex"
            and point.users <= MOST_USERS
            and point.ttft_s
            and point.ttft_s < LONGEST_TTFT_S * math.sqrt(point.isl / 1000)
            and (key, point.tpot_s) not in seen
        ):
            seen.add((key, point.tpot_s))
            if point.osl < 4000 or point.users in (4, 16):
                chosen.append(point)
    return chosen[::2]


def slopes_at(points: Sequence[ServingPoint], logs: np.ndarray, here: np.ndarray) -> np.ndarray:
    """Return the derivatives of the errors, [points, 2, coefficients]."""
    moved = [logs + STEP * np.eye(len(logs))[index] for index in range(len(logs))]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        columns = list(pool.map(errors_of, [points] * len(moved), moved))
    return np.stack([(column - here) / STEP for column in columns], axis=-1)


def step_from(logs: np.ndarray, errors: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Return the next coefficients: a robust, regularised Gauss-Newton step."""
    flat = errors.reshape(-1)
    design = slopes.reshape(-1, len(logs))
    weights = np.tile(WEIGHTS, len(errors)) / np.sqrt(1 + (flat / ROBUST) ** 2)
    pull = ERROR**2 / WIDTH**2
    normal = design.T @ (design * weights[:, None]) + np.diag(pull)
    wanted = design.T @ (weights * flat) + pull * (logs - PRIOR)
    return logs - np.clip(np.linalg.solve(normal, wanted), -0.7, 0.7)


def main() -> None:
    """Fit, refit without each group, print, write."""
    points, problems = read_aiconfigurator(POINTS)
    if problems:
        sys.exit("\n".join(map(str, problems)))
    chosen = to_fit(points)
    print(f"{len(chosen)} of {len(points)} points")
    logs = PRIOR
    for turn in range(ROUNDS):
        errors = errors_of(chosen, logs)
        print(f"round {turn}: {words(errors)}", flush=True)
        slopes = slopes_at(chosen, logs, errors)
        logs = step_from(logs, errors, slopes)
    errors = errors_of(chosen, logs)
    print(f"fitted: {words(errors)}", flush=True)
    for name, value, (prior, _) in zip(NAMES, np.exp(logs), PRIORS.values(), strict=True):
        print(f"  {name:30s} {value:10.4g}  prior {prior:.4g}")

    def without(belongs: Callable[[ServingPoint], bool]) -> np.ndarray:
        kept = np.array([not belongs(point) for point in chosen])
        found = PRIOR
        for _ in range(30):  # the simulation is close to linear in the logarithms here
            found = step_from(found, (errors + slopes @ (found - logs))[kept], slopes[kept])
        return found

    held_out: dict[str, Any] = {"model": {}, "gpu": {}}
    for kind in held_out:
        seen = []
        for group in sorted({getattr(point, kind) for point in points}):
            found = without(lambda point, kind=kind, group=group: getattr(point, kind) == group)
            mine = [point for point in chosen if getattr(point, kind) == group]
            if mine:
                seen.append(errors_of(mine, found))
                print(f"without {group}: {words(seen[-1])}", flush=True)
            held_out[kind][group] = as_facts(curves_of(found))
        print(f"left out by {kind}: {words(np.concatenate(seen))}", flush=True)
    if "--dry-run" not in sys.argv:
        write(ROOT / "enova/facts/coefficients.json", as_facts(curves_of(logs)))
        write(ROOT / "benchmarks/held_out_coefficients.json", held_out)


def words(errors: np.ndarray) -> str:
    """Return median, mean and P90 of the absolute errors of TTFT and TPOT."""
    off = np.abs(np.expm1(errors))
    return ", ".join(
        f"{name} {np.median(column):.1%} {np.mean(column):.1%} {np.quantile(column, 0.9):.1%}"
        for name, column in zip(("TTFT", "TPOT"), off.T, strict=True)
    )


def as_facts(curves: Curves) -> dict[str, Any]:
    """Return what differs from fit to fit."""
    found: dict[str, Any] = TypeAdapter(Curves).dump_python(curves, mode="json")
    return {name: rounded(found[name]) for name in ("coefficients", "frontend")}


def rounded(value: Any) -> Any:
    """Return a value with numbers at four digits."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    return float(f"{value:.4g}")


def write(path: Path, values: dict[str, Any]) -> None:
    """Write one file of facts."""
    source = "fitted by stack/fit_servers.py to NVIDIA aiconfigurator's measured vLLM points (Apache-2.0)"
    path.write_text(json.dumps({"source": source} | values, indent=1) + "\n")


if __name__ == "__main__":
    main()
