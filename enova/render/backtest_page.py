"""Backtests as a page that opens offline: the table, traffic against replicas, attainment over time, why."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from enova.core.backtest.backtest import Tried
from enova.render.backtest import Report, decision_words, report_text
from enova.render.charts import inline, page_of, picture_of, saved
from enova.render.panels import BLUE, GREEN, ORANGE, PURPLE, RED, Panel, labelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
MOST_LINES = len(COLOURS)
MOST_DECISIONS = 200


def save_backtests(reports: Sequence[Report], file: Path) -> None:
    """Write a page, or a picture. Raises UsageError without matplotlib, or if the file cannot be written."""
    saved(file, lambda: _picture(reports), lambda: page_of("Enova backtest", _body(reports)))


def _picture(reports: Sequence[Report]) -> Picture:
    return picture_of([(report.title, _panels(report)) for report in reports])


def _body(reports: Sequence[Report]) -> str:
    parts = []
    for number, report in enumerate(reports):
        drawn = inline(picture_of([("", _panels(report))]), report.title, f"b{number}")
        table = escape(report_text(report).plain)
        why = "".join(_why(tried) for tried in report.found.tried if tried.decisions)
        parts.append(f"<section><h2>{escape(report.title)}</h2><pre>{table}</pre>{drawn}{why}</section>")
    return "\n".join(parts)


def _why(tried: Tried) -> str:
    lines = [
        f"{decision.at_s:9.0f} s  {decision_words(decision)}" for decision in tried.decisions[:MOST_DECISIONS]
    ]
    left = len(tried.decisions) - len(lines)
    more = f"\nand {left} more" if left > 0 else ""
    return f"<h3>Why {escape(tried.name)} decided so</h3><pre>{escape(chr(10).join(lines) + more)}</pre>"


def _panels(report: Report) -> list[Panel]:
    return [
        lambda axis: _replicas(axis, report),
        lambda axis: _attained(axis, report),
        lambda axis: _traffic(axis, report),
        lambda axis: _trade(axis, report),
    ]


def _lines(report: Report) -> Sequence[tuple[Tried, str]]:
    return list(zip(report.found.tried[:MOST_LINES], COLOURS, strict=False))


def _replicas(axis: Axes, report: Report) -> None:
    for tried, colour in _lines(report):
        minutes = tried.score.minutes
        axis.plot(np.arange(len(minutes.ready)), minutes.replicas, color=colour, label=tried.name, linewidth=1.2)
    if report.found.oracle is not None:
        minutes = report.found.oracle.minutes
        axis.plot(np.arange(len(minutes.ready)), minutes.replicas, color="#57606a", linestyle=":", label="oracle")
    labelled(axis, "Replicas that exist", "minute", "replicas")


def _attained(axis: Axes, report: Report) -> None:
    for tried, colour in _lines(report):
        minutes = tried.score.minutes
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = np.where(minutes.arrived > 0, minutes.good / minutes.arrived, np.nan)
        axis.plot(np.arange(len(shares)), 100 * shares, color=colour, label=tried.name, linewidth=1.2)
    axis.axhline(100 * report.found.plant.target, color=RED, linewidth=1, linestyle="--")
    labelled(axis, "Requests that met the SLO", "minute", "%")


def _traffic(axis: Axes, report: Report) -> None:
    found = report.found
    arrived = found.tried[0].score.minutes.arrived / 60
    axis.plot(np.arange(len(arrived)), arrived, color=BLUE, label="arrivals", linewidth=1.2)
    ready = found.tried[0].score.minutes.ready
    takes = [found.plant.capacity.of(round(count)) for count in ready]
    axis.plot(np.arange(len(takes)), takes, color=RED, linestyle="--", linewidth=1, label="what those ready take")
    labelled(axis, f"Traffic under {found.tried[0].name}", "minute", "requests/s")


def _trade(axis: Axes, report: Report) -> None:
    found = report.found
    for tried in found.tried:
        axis.scatter([tried.score.gpu_h], [100 * tried.score.attainment], color=BLUE, s=22)
        axis.annotate(tried.name, (tried.score.gpu_h, 100 * tried.score.attainment), fontsize=7)
    if found.oracle is not None:
        axis.scatter([found.oracle.gpu_h], [100 * found.oracle.attainment], color=RED, marker="*", s=60)
        axis.annotate("oracle", (found.oracle.gpu_h, 100 * found.oracle.attainment), fontsize=7)
    labelled(axis, "Attainment against cost", "GPU-hours", "% met")
