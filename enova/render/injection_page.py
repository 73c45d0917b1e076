"""A run of load, or a sweep of them, as a page that opens offline."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from enova.core.inject.sweep import Tried
from enova.core.simulate.results import Results
from enova.core.workload.report import InjectionReport
from enova.render.charts import inline, page_of, picture_of, saved
from enova.render.injection import injection_text
from enova.render.injection_panels import run_panels, sweep_panels
from enova.render.sweep import sweep_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture


def save_page(report: InjectionReport, file: Path) -> None:
    """Write a report. Raises UsageError if matplotlib is not installed, or the file cannot be written."""
    name = report.name or "a run of load"

    def picture() -> Picture:
        return picture_of([("", run_panels(report))])

    saved(
        file, picture, lambda: page_of(f"Enova: {name}", _section(name, picture(), injection_text(report).plain))
    )


def save_sweep(name: str, tried: Sequence[Tried], predicted: Sequence[tuple[float, Results]], file: Path) -> None:
    """Write what a sweep measured, with the simulator's curve in the same pictures. Raises UsageError as above."""

    def picture() -> Picture:
        return picture_of([("", sweep_panels(tried, predicted))])

    text = sweep_text(tried, predicted).plain
    saved(file, picture, lambda: page_of(f"Enova: sweep of {name}", _section(f"Sweep of {name}", picture(), text)))


def _section(title: str, picture: Picture, text: str) -> str:
    drawn = inline(picture, title, "r")
    return f"<section><h2>{escape(title)}</h2>{drawn}<pre>{escape(text)}</pre></section>"
