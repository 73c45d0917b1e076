"""A plan for people: coloured text for a terminal, and Markdown for a pull request."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Sequence
from html import escape

from rich.text import Text

from enova.core.outlook import Outlook
from enova.core.plan import SYMBOLS, Action, Note, Plan, Verb
from enova.core.resolve import Resolved
from enova.render.outlook import outlook_markdown, outlook_text, total_text

STYLES = {
    Verb.CREATE: "green",
    Verb.START: "green",
    Verb.RESTART: "yellow",
    Verb.REPLACE: "yellow",
    Verb.JUDGE: "cyan",
    Verb.ROUTE: "cyan",
    Verb.UNROUTE: "cyan",
    Verb.REMOVE: "red",
}
MARKDOWN_ROWS_MAX = 200
"""A comment on GitHub ends at 65,536 characters."""


def plan_text(
    plan: Plan, resolved: Sequence[Resolved] = (), outlooks: Sequence[Outlook] = (), *, verbose: bool = False
) -> Text:
    """Return one line per action under its service and what is forecast, then remarks, then the summary.

    Forecasts are of services that change; `verbose` adds those of the others, and who decided which value.
    """
    emulated = emulated_services(plan, resolved)
    text = Text()
    by_service = itertools.groupby(plan.actions, key=lambda action: action.service)
    groups = {service: list(actions) for service, actions in by_service}
    choices = {one.service.name: one.choices for one in resolved} if verbose else {}
    foreseen = {one.service: one for one in outlooks if verbose or one.service in groups or one.fresh}
    by_name = {one.service.name: one for one in resolved}
    for service in sorted({*groups, *choices, *foreseen}):
        text.append(service, "bold").append(" (emulated)\n" if service in emulated else "\n")
        for choice in choices.get(service, ()):
            text.append(f"  {choice.field}: {_value(choice.value)} ({choice.provenance})\n", "dim")
        for action in groups.get(service, ()):
            text.append(f"  {action}\n", STYLES[action.verb])
        if service in foreseen:
            outlook_text(text, foreseen[service], by_name[service])
        text.append("\n")
    for kind, style, notes in _remarks(plan):
        for note in notes:
            text.append(f"{kind}: ", style).append(f"{note}\n")
    if total := total_text(outlooks) if foreseen else "":
        text.append(f"{total}\n")
    return text.append(plan.summary, "bold").append("\n")


def plan_markdown(plan: Plan, resolved: Sequence[Resolved] = (), outlooks: Sequence[Outlook] = ()) -> str:
    """Return a compact table for a comment on a pull request, with the checksum that was reviewed."""
    emulated = emulated_services(plan, resolved)
    lines = ["<!-- enova plan -->", f"**{escape(plan.summary)}**", ""]
    if plan.actions:
        lines += ["| | action | why | changes |", "|---|---|---|---|"]
        lines += [_row(action, emulated) for action in plan.actions[:MARKDOWN_ROWS_MAX]]
        if len(plan.actions) > MARKDOWN_ROWS_MAX:
            lines.append(f"| | and {len(plan.actions) - MARKDOWN_ROWS_MAX} more | | |")
        lines.append("")
    by_name = {one.service.name: one for one in resolved}
    touched = {action.service for action in plan.actions}
    for one in outlooks:
        if one.service in touched or one.fresh:
            lines += outlook_markdown(one, by_name[one.service])
    if total := total_text(outlooks):
        lines += [escape(total, quote=False), ""]
    remarks = [f"- **{kind}** {_cell(str(note))}" for kind, _, notes in _remarks(plan) for note in notes]
    lines += [*remarks, ""] if remarks else []
    return "\n".join([*lines, f"Checksum `{plan.checksum}`", ""])


def emulated_services(plan: Plan, resolved: Sequence[Resolved]) -> frozenset[str]:
    """Return the services that are, or were, served by an emulated engine."""
    wanted = {one.service.name for one in resolved if one.service.engine.kind == "emulated"}
    return frozenset(wanted | {action.service for action in plan.actions if action.emulated})


def _remarks(plan: Plan) -> list[tuple[str, str, tuple[Note, ...]]]:
    return [("note", "cyan", plan.notes), ("unknown", "yellow", plan.unknowns), ("refused", "red", plan.refusals)]


def _row(action: Action, emulated: Collection[str]) -> str:
    mark = " (emulated)" if action.service in emulated else ""
    changes = "<br>".join(f"<code>{_escaped(str(change))}</code>" for change in action.changes)
    why = _cell(action.cause) + (f"<br>{_cell(action.impact)}" if action.impact else "")
    what = f"{action.verb} <code>{_escaped(action.target)}</code>{mark}"
    return f"| {SYMBOLS[action.verb]} | {what} | {why} | {changes} |"


def _cell(text: str) -> str:
    """Outside of code, GitHub would call who is named after an @."""
    return _escaped(text).replace("@", "@&#8203;")


def _escaped(text: str) -> str:
    """Values come from specs: they must not become markup or further cells."""
    shown = escape(" ".join(text.split()), quote=False)
    for sign in "\\`*_[]|~":
        shown = shown.replace(sign, f"&#{ord(sign)};")
    return shown


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
