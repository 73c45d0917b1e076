"""`enova plan`: what would be done, and why, and what users would see of it; nothing that runs is changed."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli.choosing import BestEffort, Locked, Refresh, choosing
from enova.cli.options import Color, InventoryFile, Paths, Prune, TextJsonOrMarkdown, check_chart
from enova.cli.plan_backtest import backtests
from enova.cli.session import session_of
from enova.cli.specs import given_paths, load_files
from enova.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from enova.render.backtest import Report
    from enova.tick import Tick


def plan(
    ctx: typer.Context,
    paths: Paths = None,
    output: TextJsonOrMarkdown = "text",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the plan, for `enova apply FILE`.")
    ] = None,
    prune: Prune = False,
    inventory: InventoryFile = None,
    refresh: Refresh = False,
    locked: Locked = False,
    best_effort: BestEffort = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show what else was considered, and why it lost. Chooses anew.")
    ] = False,
    chart: Annotated[
        Path | None,
        typer.Option(
            "--chart",
            metavar="FILE",
            help="Draw cost against latency into a .png, .svg or .html file. Chooses anew.",
        ),
    ] = None,
    backtest: Annotated[
        str | None,
        typer.Option(
            "--backtest",
            metavar="FILE|TIME",
            help="Also say what would have become of this traffic: a trace, or the last 24h that were watched.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say which values were filled in, and by whom.")
    ] = False,
    color: Color = "auto",
) -> int:
    """Show what would have to be done, why, and what users will see and you will pay. Changes nothing that runs.

    What specs leave open is chosen: the cheapest way to keep every promise under the traffic that is stated, on
    what there is to run on. Choices are kept in enova.lock beside the specs and stay until the specs change.

    Exits with 0 if all is as it should be, 2 if changes are pending, 1 if something is wrong, could not be looked
    at or is refused, and 64 if called wrongly.

    \b
    Examples:
      $ enova plan
      $ enova plan specs/chat.yaml -o markdown
      $ enova plan --inventory inventory.yaml --explain
      $ enova plan specs/chat.yaml --backtest yesterday.csv
      $ enova plan --out plan.json && enova apply plan.json
    """
    from enova.render.explain import explain_text
    from enova.render.plan import plan_markdown, plan_text
    from enova.tick import plan as make_plan

    session = session_of(ctx)
    check_chart(chart)
    if locked and (explain or chart is not None):
        raise UsageError("--locked goes neither with --explain nor with --chart: these choose anew")
    given = given_paths(paths)
    files = load_files(given, session)
    services = [file.service for file in files]
    how = choosing(session, files, given, inventory, refresh=refresh, locked=locked, best_effort=best_effort)
    if explain or chart is not None:
        how = how.anew()
    tick = make_plan(services, session.world(), how.knowledge, lock=how.locks.entries, wish=how.wish, prune=prune)
    if not locked:
        how.locks.write(tick.advice, session)
    replayed = backtests(session, tick.resolved, backtest) if backtest is not None else {}
    if chart is not None:
        from enova.render.pareto import draw_pareto

        draw_pareto(tick.outcomes, chart)
        session.say(f"drawn: {chart}")
    if out is not None:
        _save(tick, out, prune=prune)
        session.say(f"saved; apply it with: enova apply {out}")
    if output == "json":
        session.stdout.write(_json(tick, prune=prune, replayed=replayed))
    elif output == "markdown":
        session.stdout.write(plan_markdown(tick.plan, tick.resolved, tick.outlooks))
    else:
        if explain:
            session.show(explain_text(tick.outcomes), color)
        session.show(plan_text(tick.plan, tick.resolved, tick.outlooks, verbose=verbose), color)
        if replayed:
            from enova.render.backtest import replayed_text

            session.show(replayed_text(str(backtest), replayed), color)
    return tick.plan.exit_code


def _json(tick: Tick, *, prune: bool, replayed: Mapping[str, Report | str] = MappingProxyType({})) -> str:
    from enova import __version__
    from enova.core.planfile import to_json
    from enova.render.explain import explained_as_data
    from enova.render.outlook import outlook_as_data, total_as_data

    lock = {name: one.entry for name, one in tick.advice.items() if one.entry is not None}
    data = to_json(tick.plan, tick.resolved, lock, prune=prune, enova_version=__version__)
    data["forecast"] = {
        "services": {one.service: outlook_as_data(one) for one in tick.outlooks},
        "total": total_as_data(tick.outlooks),
    }
    if replayed:
        from enova.render.backtest import replayed_as_data

        data["backtest"] = replayed_as_data(replayed)
    if considered := explained_as_data(tick.outcomes):
        data["considered"] = considered
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _save(tick: Tick, out: Path, *, prune: bool) -> None:
    try:
        out.write_text(_json(tick, prune=prune), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error
