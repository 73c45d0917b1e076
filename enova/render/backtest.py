"""Backtests for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from enova.core.backtest.backtest import Backtest
from enova.core.backtest.score import Score
from enova.core.control.decision import Decision
from enova.core.engine.setup import EngineSetup
from enova.core.workload.load import Load
from enova.render.forecast import engine_words, rate, seconds
from enova.render.injection import share
from enova.render.table import table_text
from enova.render.traffic import traffic_words

SCHEMA_VERSION = 1
HEADINGS = (
    "policy",
    "attained",
    "goodput/s",
    "GPU-h",
    "$",
    "of oracle",
    "replicas",
    "ups",
    "downs",
    "reversals",
    "worst minute",
    "lost",
)
SHOWN_DECISIONS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A backtest, and what it is of."""

    service: str | None
    setup: EngineSetup
    load: Load
    trace: Path | None
    found: Backtest

    @property
    def title(self) -> str:
        """Return what was replayed on what."""
        name = f"{self.service}: " if self.service else ""
        return f"{name}{self.setup.model.name} on {engine_words(self.setup, 1)}"


def reports_text(reports: Sequence[Report]) -> Text:
    """Return one table for each backtest, and what its figures mean."""
    text = Text()
    for number, report in enumerate(reports):
        text.append("\n" if number else "")
        text.append_text(report_text(report))
    return text


def report_text(report: Report) -> Text:
    """Return what was replayed, and a line for each policy, best attainment first among those that cost alike."""
    found = report.found
    plant, traffic = found.plant, found.traffic
    text = Text()
    text.append(f"{report.title}\n", "bold")
    what = str(report.trace) if report.trace else traffic_words(report.load)
    hours = traffic.until_s / 3600
    mean = len(traffic.requests) / traffic.until_s if traffic.until_s else 0.0
    text.append(
        f"  traffic    {what}: {len(traffic.requests):,} requests in {hours:.2f} h, {rate(mean)}/s in the mean, "
        f"{rate(traffic.peak_per_s)}/s in the busiest five minutes\n"
    )
    most = "" if plant.most is None else f", at most {plant.most} ({plant.limit})"
    text.append(
        f"  replica    takes {rate(plant.capacity.of(1))}/s, {rate(plant.capacity.of(4) / 4)}/s each of four; "
        f"starts in {seconds(plant.start_up_s)}; {found.scene.first} at the beginning{most}\n"
    )
    targets = ", ".join(f"{p.metric}.{p.statistic} {seconds(p.target_s)}" for p in found.scene.promises)
    text.append(f"  SLO        {targets}\n")
    if not plant.feasible:
        text.append(
            "  infeasible: the SLO is not kept at any rate; capacity is what is served without it\n", "red"
        )
    rows = [_row(one.name, one.score, found) for one in found.tried]
    for name, score in (("oracle", found.oracle), ("oracle, no start-up", found.oracle_at_once)):
        if score is not None:
            rows.append(_row(name, score, found))
    table = table_text(HEADINGS, rows, right=frozenset(HEADINGS[1:]))
    text.append("\n").append_text(table)
    if found.asked_oracle and found.oracle is None and plant.feasible:
        text.append(
            f"no schedule that was tried attains {share(plant.target)}, even knowing the traffic\n", "yellow"
        )
    return text


def reports_as_json(reports: Sequence[Report]) -> dict[str, Any]:
    """Return `{schema_version, backtests: [{service, policies: [{name, attainment, gpu_h, …}], …}]}`."""
    return {"schema_version": SCHEMA_VERSION, "backtests": [_json(report) for report in reports]}


def replayed_text(past: str, replayed: Mapping[str, Report | str]) -> Text:
    """Return for each service what would have become of past traffic, in a line for each policy."""
    text = Text().append(f"\nBacktest on {past}\n", "bold")
    for name, report in replayed.items():
        if isinstance(report, str):
            text.append(f"  {name}: ").append(f"none: {report}\n", "yellow")
            continue
        for tried in report.found.tried:
            score = tried.score
            what = "with replicas that follow the traffic" if tried.name == "enova" else "with replicas as planned"
            cost = "" if score.usd is None else f", {score.usd:.2f} $"
            text.append(
                f"  {name}: {what}: {score.attainment:.2%} within the SLO, {score.gpu_h:.1f} GPU-h{cost}, "
                f"{score.ups + score.downs} changes\n"
            )
    return text


def replayed_as_data(replayed: Mapping[str, Report | str]) -> dict[str, Any]:
    """Return the same for programs: by service, a backtest or `{error}`."""
    return {name: {"error": one} if isinstance(one, str) else _json(one) for name, one in replayed.items()}


def decision_words(decision: Decision) -> str:
    """Return a decision in one line."""
    if decision.replicas == decision.up:
        return f"{decision.up} stay: {decision.reason}"
    limited = f" ({decision.limited_by})" if decision.limited_by else ""
    return f"{decision.up} to {decision.replicas}{limited}: {decision.reason}"


def _row(name: str, score: Score, found: Backtest) -> list[str]:
    regret = found.regret(score)
    worst = "-" if math.isnan(score.worst_minute) else share(score.worst_minute)
    return [
        name,
        f"{score.attainment:.2%}",
        rate(score.goodput_per_s),
        f"{score.gpu_h:.2f}",
        "-" if score.usd is None else f"{score.usd:.2f}",
        "-" if regret is None else f"{regret:.2f}",
        f"{score.gpu_h / found.scene.gpus / (score.duration_s / 3600):.2f}" if score.duration_s else "-",
        str(score.ups),
        str(score.downs),
        str(score.reversals),
        worst,
        str(score.unanswered),
    ]


def _json(report: Report) -> dict[str, Any]:
    found = report.found
    return {
        "service": report.service,
        "model": report.setup.model.name,
        "gpu": report.setup.gpu.name,
        "gpus_per_replica": found.scene.gpus,
        "traffic": {
            "file": None if report.trace is None else str(report.trace),
            "words": traffic_words(report.load),
            "requests": len(found.traffic.requests),
            "duration_s": found.traffic.until_s,
            "peak_per_s": found.traffic.peak_per_s,
        },
        "seed": report.load.seed,
        "start_up_s": found.plant.start_up_s,
        "feasible": found.plant.feasible,
        "target": found.plant.target,
        "capacity": [
            {"replicas": count, "requests_per_s": per_s}
            for count, per_s in zip(found.plant.capacity.replicas, found.plant.capacity.per_s, strict=True)
        ],
        "promises": [
            {"metric": p.metric, "statistic": p.statistic, "target_s": p.target_s} for p in found.scene.promises
        ],
        "policies": [
            {"name": one.name, **_score(one.score, found), "decisions": [_decision(d) for d in one.decisions]}
            for one in found.tried
        ],
        "oracle": None if found.oracle is None else _score(found.oracle, found),
        "oracle_at_once": None if found.oracle_at_once is None else _score(found.oracle_at_once, found),
    }


def _score(score: Score, found: Backtest) -> dict[str, Any]:
    return {
        "attainment": score.attainment,
        "requests": score.requests,
        "unanswered": score.unanswered,
        "reasons": dict(score.reasons),
        "latencies_s": {name: _number(value) for name, value in score.latencies_s.items()},
        "goodput_per_s": score.goodput_per_s,
        "gpu_h": score.gpu_h,
        "usd": score.usd,
        "of_oracle": found.regret(score),
        "ups": score.ups,
        "downs": score.downs,
        "reversals": score.reversals,
        "worst_minute": _number(score.worst_minute),
        "worst_minute_s": _number(score.worst_minute_s),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "at_s": decision.at_s,
        "up": decision.up,
        "ready": decision.ready,
        "replicas": decision.replicas,
        "needed": decision.needed,
        "expected_per_s": None if decision.rate is None else decision.rate.high,
        "queue": decision.queue,
        "capacity_per_s": decision.capacity,
        "without_one_per_s": decision.without_one,
        "hold_until_s": decision.hold_until_s,
        "limited_by": decision.limited_by,
        "reason": decision.reason,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
