"""Cost against latency of all that was tried for a service: what can be had for which money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from enova.core.recommend.recommendation import Outcome, Point, Recommendation
from enova.errors import UsageError
from enova.render.charts import inline, page_of, saved
from enova.render.explain import explain_text
from enova.render.panels import BLUE, GREEN, GRID, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

_LABELLED = 8
"""Points that get their words; more would cover each other."""


def draw_pareto(outcomes: Mapping[str, Outcome], file: Path) -> None:
    """Draw every service's ways into a file whose suffix says its form. Raises UsageError if there are none."""
    shown = {name: outcome for name, outcome in sorted(outcomes.items()) if outcome.points}
    if not shown:
        raise UsageError("there is nothing to draw: no way was tried", hint="say what traffic comes, in injection")
    saved(file, lambda: _picture(shown), lambda: _page(shown))


def front_of(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats in cost and in latency at once, the cheapest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.usd_per_h, point.high_s)):
        if not front or point.high_s < front[-1].high_s:
            front.append(point)
    return front


def _page(outcomes: Mapping[str, Outcome]) -> str:
    parts = [
        f"<section><h2>{escape(name)}</h2>{inline(_picture({name: outcome}), name, f'p{number}')}"
        f"<pre>{escape(explain_text({name: outcome}).plain)}</pre></section>"
        for number, (name, outcome) in enumerate(outcomes.items())
    ]
    return page_of("Enova: cost against latency", "\n".join(parts))


def _picture(outcomes: Mapping[str, Outcome]) -> Picture:
    from matplotlib.figure import Figure

    picture = Figure(figsize=(9.0, 4.6 * len(outcomes)), layout="constrained", facecolor="white")
    axes = picture.subplots(len(outcomes), 1, squeeze=False)[:, 0]
    for axis, (name, outcome) in zip(axes, outcomes.items(), strict=True):
        _panel(axis, name, outcome)
    return picture


def _panel(axis: Axes, name: str, outcome: Outcome) -> None:
    points = outcome.points
    for kept, color, label in ((True, GREEN, "keeps every promise"), (False, ORANGE, "does not")):
        some = [point for point in points if point.kept is kept]
        if some:
            x, y = [point.usd_per_h for point in some], [1000 * point.high_s for point in some]
            axis.scatter(x, y, s=26, color=color, label=label, zorder=3)
    front = front_of(points)
    axis.step(
        [point.usd_per_h for point in front],
        [1000 * point.high_s for point in front],
        where="post",
        color=BLUE,
        linewidth=1.2,
        label="best for the money",
    )
    for point in front[:_LABELLED]:
        words = f"{point.replicas} x {point.words}"
        axis.annotate(
            words, (point.usd_per_h, 1000 * point.high_s), xytext=(5, 5), textcoords="offset points", fontsize=8
        )
    if isinstance(outcome, Recommendation) and outcome.found is not None:
        chosen = [
            point for point in points if point.words == outcome.shape.words and point.replicas == outcome.replicas
        ]
        for point in chosen[:1]:
            axis.scatter(
                [point.usd_per_h], [1000 * point.high_s], s=150, facecolors="none", edgecolors=BLUE, label="chosen"
            )
    axis.set_yscale("log")
    axis.set_xlim(left=0)
    axis.set_title(f"{name}: what was tried, under the burst that is planned for", fontsize=11)
    axis.set_xlabel("$/h")
    axis.set_ylabel(f"{points[0].latency}, bad end of its band, ms")
    axis.grid(color=GRID, linewidth=0.7)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
