"""`enova ledger`: what was forecast of services beside what was then measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from enova.cli.options import Color, OneOrAll, Paths, TextOrJson, seconds_of
from enova.cli.session import Session, session_of
from enova.cli.specs import DEFAULT_FOLDER, load_services
from enova.errors import MeasurementError, Problem, UsageError

if TYPE_CHECKING:
    from enova.adapters.history import History
    from enova.core.ledger.records import Measurement
    from enova.core.workload.report import InjectionReport
    from enova.measuring import Measuring


class ShownByDefault(TyperGroup):
    """A group of commands that shows the ledger where none of them is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `show` before arguments that name no command."""
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        # Without any, a shell that completes wants to know the commands.
        known = named or (not args and ctx.resilient_parsing)
        return super().parse_args(ctx, args if known else ["show", *args])


app = typer.Typer(
    cls=ShownByDefault,
    subcommand_metavar="[SERVICE] | COMMAND [ARGS]...",
    rich_markup_mode=None,
    help="""Show what was forecast of services beside what was then measured, and measure.

    Every applied forecast is kept in $ENOVA_STATE_DIR/history.db, which may be deleted at any time. `enova ledger
    [SERVICE]` is short for `enova ledger show [SERVICE]`.

    \b
    Examples:
      $ enova ledger measure --for 60s
      $ enova ledger
      $ enova ledger chat --since 30d -o json
    """,
)


@app.command("show")
def show(
    ctx: typer.Context,
    service: OneOrAll = None,
    since: Annotated[str, typer.Option("--since", help="How far to look back.")] = "7d",
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Show predicted, measured and error of each figure over time, and a summary by service and metric.

    A row counts as an error of the forecast only if it was measured under what was forecast: requests came at
    that rate and answers had that length, both within 20 %, from as many replicas; and if there were enough
    requests to tell. The others say why they do not count.

    \b
    Examples:
      $ enova ledger
      $ enova ledger chat --since 30d
    """
    from enova.core.ledger.rows import ledger_of
    from enova.render.ledger import ledger_json, ledger_text

    session = session_of(ctx)
    history = _history(session)
    measurements = history.measurements(service, since_s=session.now() - seconds_of("--since", since))
    ledger = ledger_of(history.applied(service), measurements)
    if output == "json":
        session.stdout.write(json.dumps(ledger_json(ledger), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        session.show(ledger_text(ledger), color)
    if not measurements:
        session.say(f"nothing was measured {f'of {service} ' if service else ''}in the last {since}")
        session.say("hint: measure what runs with `enova ledger measure`, or look back further with --since")
    return 0


@app.command("measure")
def measure(
    ctx: typer.Context,
    paths: Paths = None,
    length: Annotated[str, typer.Option("--for", help="How long to look.")] = "60s",
    color: Color = "auto",
) -> int:
    """Measure services that run, by what the metrics of their replicas count, and keep it beside the forecast.

    Only reads /metrics, twice. Means and rates are exact, percentiles are known to a bucket of vLLM's histograms.
    Without paths and without a folder ./specs it measures all that run. What cannot be read in full is not kept:
    exits with 1, also if a replica was started anew meanwhile. A service without requests has nothing to keep.

    \b
    Examples:
      $ enova ledger measure
      $ enova ledger measure specs/chat.yaml --for 10m
    """
    from enova.core.ledger.records import Measurement
    from enova.core.observed import Unknown

    session = session_of(ctx)
    length_s = seconds_of("--for", length)
    # Before a minute is spent on what cannot be kept.
    history = _history(session)
    history.measurements(since_s=session.now())
    measured = _measured(session, paths, length_s)
    kept = [outcome for outcome in measured.outcomes.values() if isinstance(outcome, Measurement)]
    history.add(*kept)
    not_kept: dict[str, list[str]] = {}
    for service, outcome in measured.outcomes.items():
        if isinstance(outcome, Unknown):
            not_kept.setdefault(outcome.reason, []).append(service)
        elif outcome is None:
            session.say(f"{service}: no request was answered: nothing to keep")
    for reason, services in not_kept.items():
        session.say(f"{', '.join(services)}: not kept: {reason}")
    for reason in (reason for reason in measured.unseen if reason not in not_kept):
        session.say(f"unknown: {reason}")
    if not measured.outcomes:
        session.say("nothing runs that could be measured")
    _show_kept(session, history, kept, color)
    return 1 if not_kept or measured.unseen else 0


@app.command("add")
def add(
    ctx: typer.Context,
    reports: Annotated[list[Path], typer.Argument(metavar="REPORT", help="Reports of runs of load (JSON).")],
    service: Annotated[
        str | None,
        typer.Option("--service", help="Whose load it was. Default: the name in the report.", show_default=False),
    ] = None,
    ended: Annotated[
        str | None,
        typer.Option(
            "--ended",
            help="When it ended: 2026-01-31T12:00. Default: as it says, or the file's time.",
            show_default=False,
        ),
    ] = None,
    color: Color = "auto",
) -> int:
    """Keep what runs of load found out beside the forecast in force at that time.

    Reads injection reports, and results of vllm bench serve, GuideLLM and aiperf. Adding one twice is adding it
    once; `enova inject` adds its runs of services by itself.

    \b
    Examples:
      $ enova ledger add chat.report.json
      $ enova ledger add night.json --service chat --ended 2026-01-31T02:10
    """
    session = session_of(ctx)
    if ended is not None and len(reports) > 1:
        raise UsageError("--ended is about one report", hint="add them one by one")
    measurements = list(_reported(reports, service, ended))
    history = _history(session)
    new = history.add(*measurements)
    _show_kept(session, history, measurements, color)
    if new < len(measurements):
        session.say(f"{len(measurements) - new} of these were in the history already")
    return 0


def _history(session: Session) -> History:
    from enova.adapters.history import history_of

    return history_of(session.settings)


def _measured(session: Session, paths: Sequence[str] | None, length_s: float) -> Measuring:
    from enova.measuring import measure as measured

    world = session.world()
    services, needed = None, set(world.runtimes)
    if paths or Path(DEFAULT_FOLDER).is_dir():
        loaded = load_services(paths, session)
        services, needed = {one.name for one in loaded}, {one.runtime for one in loaded}
    return measured(
        world, needed=needed, services=services, length_s=length_s, began_s=session.now(), say=session.say
    )


def _reported(files: Sequence[Path], service: str | None, ended: str | None) -> Iterator[Measurement]:
    """Yield what each report measured. Raises MeasurementError with every problem of every file."""
    from enova.core.ledger.reported import measurement_in

    read = {file: _read(file) for file in files}
    problems = [problem for _, found in read.values() for problem in found]
    if problems:
        raise MeasurementError(problems)
    for file, report in ((file, report) for file, (report, _) in read.items() if report is not None):
        name = service or report.name
        if not name:
            raise UsageError(f"{file} does not say whose load it was", hint="say so with --service")
        ended_s = report.ended_s or file.stat().st_mtime if ended is None else _time("--ended", ended)
        yield measurement_in(report, service=name, ended_s=ended_s, source=report.name or file.name)


def _read(file: Path) -> tuple[InjectionReport | None, list[Problem]]:
    from enova.adapters.measurements.results import read_any

    return read_any(file)


def _time(option: str, text: str) -> float:
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option}: {text!r} is no time", hint="write it like 2026-01-31T12:00, in UTC") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _show_kept(session: Session, history: History, kept: Sequence[Measurement], color: str) -> None:
    """Show what was kept beside the forecasts that were in force."""
    from enova.core.ledger.rows import ledger_of
    from enova.render.ledger import ledger_text

    for one in kept:
        session.say(f"{one.service}: {one.requests:,} requests in {one.ended_s - one.began_s:.0f} s, kept")
    if kept:
        session.show(ledger_text(ledger_of(history.applied(), kept)), color)
