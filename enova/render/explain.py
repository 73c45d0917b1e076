"""What was considered for a service, and why each way lost: for people, and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from enova.core.forecast_data import rounded
from enova.core.recommend.recommendation import Considered, Infeasible, Nearest, Outcome
from enova.render.table import table_text

HEADINGS = ("WAY", "REPLICAS", "$/H", "VERDICT")


def explain_text(outcomes: Mapping[str, Outcome]) -> Text:
    """Return a table of what was considered, for each service that was chosen for."""
    text = Text()
    for name, outcome in sorted(outcomes.items()):
        text.append(name, "bold").append(": what was considered\n")
        text.append(table_text(HEADINGS, [_cells(one) for one in outcome.considered], right=_RIGHT))
        if isinstance(outcome, Infeasible):
            text.append(f"infeasible: {outcome.binding}\n", "red")
            for near in outcome.nearest:
                text.append(f"  nearest: {near.field}: {near.value} ({near.words})\n")
        text.append("\n")
    return text


def explained_as_data(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """Return the same by service; empty where nothing was chosen anew."""
    return {
        name: {
            "ways": [_considered(one) for one in outcome.considered],
            "infeasible": outcome.binding if isinstance(outcome, Infeasible) else None,
            "nearest": _nearest(outcome.nearest) if isinstance(outcome, Infeasible) else [],
            "tried": [
                {**point._asdict(), "value_s": rounded(point.value_s), "high_s": rounded(point.high_s)}
                for point in outcome.points
            ],
        }
        for name, outcome in sorted(outcomes.items())
    }


_RIGHT = frozenset({"REPLICAS", "$/H"})


def _cells(one: Considered) -> tuple[str, str, str, str]:
    price = "-" if one.usd_per_h is None else f"{one.usd_per_h:.2f}"
    return one.words, "-" if one.replicas is None else str(one.replicas), price, one.verdict


def _considered(one: Considered) -> dict[str, Any]:
    return one._asdict() | {"usd_per_h": rounded(one.usd_per_h)}


def _nearest(ways: Sequence[Nearest]) -> list[dict[str, str]]:
    return [way._asdict() for way in ways]
