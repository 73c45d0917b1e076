"""`enova what-if`: what another promise, budget or traffic would lead to, without touching a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enova.cli.choosing import BestEffort, choosing
from enova.cli.options import Color, InventoryFile, Paths, TextJsonOrMarkdown
from enova.cli.session import Session, session_of
from enova.cli.specs import given_paths, load_files
from enova.errors import UsageError

if TYPE_CHECKING:
    from enova.advise import Advice
    from enova.core.outlook import Outlook
    from enova.core.spec import Service


def what_if(
    ctx: typer.Context,
    paths: Paths = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="What would be written; empty unsets. May be repeated."),
    ] = None,
    inventory: InventoryFile = None,
    best_effort: BestEffort = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what else was considered, and why it lost.")
    ] = False,
    output: TextJsonOrMarkdown = "text",
    color: Color = "auto",
) -> int:
    """Show what would be chosen, seen and paid if specs said something else. Writes and changes nothing.

    Compared is what is chosen for the specs as they are written, from enova.lock where that fits. Exits with 0,
    with 1 if it is infeasible or cannot be told, and 64 if called wrongly.

    \b
    Examples:
      $ enova what-if specs/chat.yaml --set slo.ttft.p95=300ms --set injection.rate=20/s
      $ enova what-if --set placement.gpu_types='[L40S]' --set budget.cost='4 USD/h'
      $ enova what-if specs/chat.yaml --set engine.tensor_parallel_size= -o json
    """
    from enova.advise import adviser_of
    from enova.core.resolve import resolve
    from enova.core.spec.amend import amended
    from enova.observe import observe
    from enova.render.explain import explain_text
    from enova.render.outlook import what_if_as_data, what_if_markdown, what_if_text

    session = session_of(ctx)
    if not changes:
        raise UsageError("nothing is set", hint="for example --set slo.ttft.p95=300ms")
    given = given_paths(paths)
    files = load_files(given, session)
    written = [file.service for file in files]
    changed = [amended(service, changes, _yaml) for service in written]
    how = choosing(session, files, given, inventory, best_effort=best_effort)
    needed = {service.runtime for service in written}
    observed = observe(session.world(), needed=needed, gpus=any(one.gpus_per_replica for one in changed))
    before = adviser_of(how.knowledge, observed, how.wish).advise(written, how.locks.entries)
    after = adviser_of(how.knowledge, observed, how.anew().wish).advise(changed, {})
    resolved = {
        service.name: resolve(service, entry.chosen, entry.why)
        for service in changed
        if (entry := after[service.name].entry) is not None
    }
    shown = _outlooks(changed, before, after)
    if output == "json":
        data = what_if_as_data(shown, resolved, list(changes))
        session.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    elif output == "markdown":
        session.stdout.write(what_if_markdown(shown, resolved))
    else:
        if explain:
            outcomes = {name: one.outcome for name, one in after.items() if one.outcome is not None}
            session.show(explain_text(outcomes), color)
        session.show(what_if_text(shown, resolved), color)
    return _remarks(session, after)


def _outlooks(services: list[Service], before: dict[str, Advice], after: dict[str, Advice]) -> list[Outlook]:
    from enova.core.outlook import Outlook

    found = []
    for service in services:
        old, new = before[service.name].entry, after[service.name].entry
        if new is not None:
            found.append(
                Outlook(
                    service=service.name,
                    now=old.forecast if old else None,
                    now_words="nothing can be told of what is written",
                    after=new.forecast,
                    pins=new.pins,
                    max_tokens=new.max_tokens,
                )
            )
    return sorted(found, key=lambda outlook: outlook.service)


def _remarks(session: Session, after: dict[str, Advice]) -> int:
    refused = [note for name in sorted(after) for note in after[name].refusals]
    unknown = [note for name in sorted(after) for note in after[name].notes]
    for note in (*refused, *unknown):
        session.say(str(note))
    return 1 if refused or unknown else 0


def _yaml(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        raise UsageError("is not a value of YAML") from None
