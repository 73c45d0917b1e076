"""Compare scaling policies on the same traffic: attainment and GPU-hours of each, beside what would have done.

    uv run python benchmarks/autoscale_table.py [TRACE,…|tuning|final|all] [START_UP_S,…] [SEEDS] [FILE.json]

Default: all traces, start-up times of 30, 100 and 300 s, seeds 0 to 2. Every policy of a case sees the same
requests, starts with the same replicas and is asked by the same fleet. A policy beats another if it attains at
least as much with at most as many GPU-hours, and is better in one of them by more than `ALIKE`. Figures are means
over the seeds.
The oracle knows the traffic and waits for its replicas to start; `reached` says on how many seeds one of its
schedules attains 99 %.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autoscale_scenes import CASES, FINAL, TUNING, scene_of

from enova.core.backtest.backtest import backtest
from enova.core.backtest.laws.known import LAWS, Facts
from enova.core.control.autoscaler import Autoscaler
from enova.core.control.history import History
from enova.core.control.sight import Law

START_UPS_S = (30.0, 100.0, 300.0)
SEEDS = 3
WORKERS = 2
ALIKE = 0.002
"""Relative difference below which two policies are taken to be alike: less than the seeds differ by."""
OURS = "enova"

Row = dict[str, Any]


def rows_of(case: tuple[str, float, int]) -> list[Row]:
    """Return what became of a case under every policy, and under the oracles."""
    name, start_up_s, seed = case
    scene, plant, traffic, before = scene_of(name, start_up_s, seed)
    facts = Facts(
        plant=plant,
        promises=scene.promises,
        max_num_seqs=scene.replica.limits.max_num_seqs,
        peak_per_s=traffic.peak_per_s,
    )

    def ours() -> Law:
        return Autoscaler(plant, history=None if before is None else History(before))

    def theirs(law: str) -> Callable[[], Law]:
        return lambda: LAWS[law](facts)

    found = backtest(scene, plant, traffic, {OURS: ours, **{law: theirs(law) for law in LAWS}})
    scores = [(tried.name, tried.score) for tried in found.tried]
    scores += [
        (label, score)
        for label, score in (("oracle", found.oracle), ("oracle-at-once", found.oracle_at_once))
        if score is not None
    ]
    return [
        {
            "trace": name,
            "start_up_s": start_up_s,
            "seed": seed,
            "policy": policy,
            "attainment": score.attainment,
            "gpu_h": score.gpu_h,
            "ups": score.ups,
            "downs": score.downs,
            "reversals": score.reversals,
            "unanswered": score.unanswered,
            "requests": score.requests,
        }
        for policy, score in scores
    ]


def table_of(rows: Sequence[Row]) -> list[str]:
    """Return one line for each trace and start-up time, and what they come to."""
    cases: dict[tuple[str, float], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        cases[row["trace"], row["start_up_s"]][row["policy"]].append(row)
    head = "| trace | start-up | enova | GPU-h | of oracle | of static | oracle | reached | best others | better |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|---|"]
    for (trace, start_up_s), policies in cases.items():
        means = {name: (_mean(of, "attainment"), _mean(of, "gpu_h")) for name, of in policies.items()}
        ours = means[OURS]
        others = {name: mean for name, mean in means.items() if name != OURS and not name.startswith("oracle")}
        beats = [name for name, mean in others.items() if _beats(mean, ours)]
        near = sorted(others, key=lambda name: (-min(others[name][0], 0.99), others[name][1]))[:2]
        oracle = means.get("oracle")
        reached = len(policies.get("oracle", ()))
        static = others.get("static-peak")
        mark = "" if trace in TUNING else "*"
        lines.append(
            f"| {trace}{mark} | {start_up_s:.0f} s | {ours[0]:.2%} | {ours[1]:.2f} "
            f"| {'-' if oracle is None else f'{ours[1] / oracle[1]:.2f}'} "
            f"| {'-' if static is None else f'{ours[1] / static[1]:.2f} ({static[0]:.2%})'} "
            f"| {'-' if oracle is None else f'{oracle[1]:.2f}'} | {reached} of {len(policies[OURS])} "
            f"| {', '.join(f'{name} {others[name][0]:.2%} {others[name][1]:.2f}' for name in near)} "
            f"| {', '.join(beats) or 'none'} |"
        )
    return lines


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Tell whether one (attainment, GPU-hours) is at least as good in both, and clearly better in one."""
    no_worse = one[0] >= other[0] and one[1] <= other[1]
    return no_worse and (one[0] > other[0] * (1 + ALIKE) or one[1] < other[1] * (1 - ALIKE))


def _mean(rows: Sequence[Row], column: str) -> float:
    return sum(float(row[column]) for row in rows) / len(rows)


def main(arguments: Sequence[str]) -> int:
    """Run all cases, two at a time, and print the table."""
    sets = {"all": CASES, "tuning": TUNING, "final": FINAL}
    asked = arguments[0] if arguments else "all"
    traces = list(sets[asked]) if asked in sets else asked.split(",")
    starts = [float(text) for text in arguments[1].split(",")] if len(arguments) > 1 else list(START_UPS_S)
    seeds = int(arguments[2]) if len(arguments) > 2 else SEEDS
    cases = [(trace, start, seed) for trace in traces for start in starts for seed in range(seeds)]
    rows: list[Row] = []
    with multiprocessing.get_context("spawn").Pool(WORKERS, maxtasksperchild=1) as pool:
        for number, found in enumerate(pool.imap_unordered(rows_of, cases), start=1):
            rows += found
            print(f"{number} of {len(cases)}: {found[0]['trace']} {found[0]['start_up_s']:.0f} s", file=sys.stderr)
    order = {case: place for place, case in enumerate(cases)}
    rows.sort(key=lambda row: order[row["trace"], row["start_up_s"], row["seed"]])
    if len(arguments) > 3:
        Path(arguments[3]).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print("\n".join(table_of(rows)))
    print("\n* not looked at while the autoscaler's constants were chosen")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
