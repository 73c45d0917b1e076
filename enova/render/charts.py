"""Forecasts as pictures: PNG, SVG, or a page that stands alone."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Sequence
from html import escape
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enova.errors import UsageError
from enova.render.forecast import Forecast, engine_words, forecasts_text
from enova.render.panels import GRID, INK, Panel, panels_of
from enova.render.traffic import traffic_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "path",
    "svg.hashsalt": "enova",
}
_WIDTH, _PANEL_HEIGHT = 11.0, 3.1
_TITLE_LENGTH = 130


def saved(file: Path, picture: Callable[[], Picture], page: Callable[[], str]) -> None:
    """Write a picture, or for .html a page, in the style all of them have.

    Raises UsageError if matplotlib is not installed, or the file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        raise UsageError("charts need matplotlib", hint="install enova[charts]") from None
    try:
        with mpl.rc_context(_STYLE):
            if file.suffix == ".html":
                file.write_text(page(), encoding="utf-8")
            else:
                picture().savefig(file, dpi=144, metadata={"Date": None} if file.suffix == ".svg" else None)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error


def page_of(title: str, body: str) -> str:
    """Return a page that needs nothing else: no scripts, no fonts, no network."""
    return _PAGE.format(title=escape(title), body=body)


def inline(picture: Picture, label: str, prefix: str) -> str:
    """Return a picture as part of a page; `prefix` keeps the names within it apart from other pictures'."""
    svg = StringIO()
    picture.savefig(svg, format="svg", metadata={"Date": None})
    # What comes before the element itself has no place inside a page.
    drawn = _NAMES.sub(rf"\g<1>{prefix}-", svg.getvalue().partition("<svg")[2])
    return f"<figure><svg role='img' aria-label='{escape(label, quote=True)}'{drawn}</figure>"


def picture_of(blocks: Sequence[tuple[str, Sequence[Panel]]]) -> Picture:
    """Return panels, two in a row, those of each block under its title if it has one."""
    from matplotlib.figure import Figure

    rows = [math.ceil(len(panels) / 2) for _, panels in blocks]
    heading = 0.75 if any(title for title, _ in blocks) else 0.0
    heights = [heading + _PANEL_HEIGHT * count for count in rows]
    picture = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained", facecolor="white")
    areas = picture.subfigures(len(blocks), 1, height_ratios=heights, squeeze=False)[:, 0]
    for (title, panels), area, count in zip(blocks, areas, rows, strict=True):
        if title:
            area.suptitle(title, fontsize=11)
        axes = list(area.subplots(count, 2, squeeze=False).flat)
        for axis in axes:
            axis.set_visible(False)
        for axis, panel in zip(axes, panels, strict=False):
            axis.set_visible(True)
            axis.grid(color=GRID, linewidth=0.7)
            axis.set_axisbelow(True)
            axis.spines[["top", "right"]].set_visible(False)
            panel(axis)
    return picture


def draw(forecasts: Sequence[Forecast], file: Path) -> None:
    """Draw forecasts into a file whose suffix says its form; a .png or .svg holds the panels of all of them.

    Raises UsageError if matplotlib is not installed, or the file cannot be written.
    """
    saved(file, lambda: _picture(forecasts, titled=True), lambda: _page(forecasts))


def _page(forecasts: Sequence[Forecast]) -> str:
    parts = []
    for number, forecast in enumerate(forecasts):
        drawn = inline(_picture([forecast], titled=False), _title(forecast), f"f{number}")
        table = forecasts_text([forecast]).plain
        parts.append(
            f"<section><h2>{escape(_title(forecast))}</h2><p>{escape(traffic_words(forecast.load))}</p>"
            f"{drawn}<pre>{escape(table)}</pre></section>"
        )
    return page_of("Enova forecast", "\n".join(parts))


_NAMES = re.compile(r'(\bid="|xlink:href="#|url\(#)')
"""Where a picture names its parts; two pictures of one page must not share names."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #24292f; }}
body {{ max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }}
h2 {{ font-size: 1.25rem; margin-bottom: 0; }} p {{ color: #57606a; margin-top: .25rem; }}
figure {{ margin: 1rem 0; }} svg {{ width: 100%; height: auto; }}
pre {{ background: #f6f8fa; border-radius: 6px; padding: 1rem; overflow-x: auto; }}
pre {{ font-size: 12.5px; line-height: 1.4; }}
</style></head><body>
{body}
</body></html>
"""


def _picture(forecasts: Sequence[Forecast], *, titled: bool) -> Picture:
    """Return the panels of forecasts, each one's under its own title."""
    blocks = []
    for forecast in forecasts:
        words = textwrap.shorten(traffic_words(forecast.load), _TITLE_LENGTH, placeholder=" …")
        blocks.append((f"{_title(forecast)}\n{words}" if titled else "", panels_of(forecast)))
    return picture_of(blocks)


def _title(forecast: Forecast) -> str:
    name = f"{forecast.service}: " if forecast.service else ""
    return f"{name}{forecast.setup.model.name} on {engine_words(forecast.setup, forecast.replicas)}"
