"""Runs of load that were kept, and reports in files: shown, listed, compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli import inject_options as options
from enova.cli.options import Color, OneOrAll, TextOrJson, seconds_of
from enova.cli.session import Session, session_of
from enova.errors import MeasurementError, UsageError

if TYPE_CHECKING:
    from enova.core.workload.report import InjectionReport

FAILED = 1


def show(
    ctx: typer.Context,
    run_: Annotated[str, typer.Argument(metavar="RUN", help="A number from `enova inject list`, or a file.")],
    html: options.HtmlFile = None,
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Show the report of a run that was kept, or of a file.

    Files may be Enova's own reports, or results of vllm bench serve, GuideLLM and aiperf.

    \b
    Examples:
      $ enova inject show 3 --html report.html
      $ enova inject show report.json
    """
    session = session_of(ctx)
    check_files(html, None)
    report = report_named(session, run_)
    write_files(session, report, html, None)
    show_report(session, report, output, color)
    return 0


def list_(
    ctx: typer.Context,
    service: OneOrAll = None,
    since: Annotated[str, typer.Option("--since", help="How far to look back.")] = "30d",
    color: Color = "auto",
) -> int:
    """List the runs that were kept, oldest first.

    \b
    Examples:
      $ enova inject list
      $ enova inject list chat --since 7d
    """
    from enova.adapters.history import history_of
    from enova.render.injections import injections_text

    session = session_of(ctx)
    runs = history_of(session.settings).runs(service, since_s=session.now() - seconds_of("--since", since))
    session.show(injections_text([(run.number, run.at_s, run.report) for run in runs]), color)
    if not runs:
        session.say(f"no run {f'of {service} ' if service else ''}was kept in the last {since}")
    return 0


def compare(
    ctx: typer.Context,
    first: Annotated[str, typer.Argument(metavar="A", help="A number from `enova inject list`, or a file.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The same.")],
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Set two runs beside each other, and say which differences are more than noise.

    \b
    Examples:
      $ enova inject compare 3 4
      $ enova inject compare before.json after.json -o json
    """
    import json

    from enova.core.inject.compare import compared
    from enova.render.comparison import comparison_json, comparison_text

    session = session_of(ctx)
    found = compared(report_named(session, first), report_named(session, second))
    if output == "json":
        session.stdout.write(json.dumps(comparison_json(found), indent=2, ensure_ascii=False) + "\n")
    else:
        session.show(comparison_text(found, (first, second)), color)
    return 0


def check_files(html: Path | None, out: Path | None) -> None:
    """Refuse places that nothing can be written to before a run is made for them."""
    if html is not None and html.suffix != ".html":
        raise UsageError(f"--html: {html} does not end in .html")
    for option, file in (("--html", html), ("--out", out)):
        if file is not None and not file.parent.is_dir():
            raise UsageError(f"{option}: there is no folder {file.parent}")


def keep_run(session: Session, report: InjectionReport, name: str, fingerprint: str) -> int:
    """Keep a run; where it was one of a service, and valid, also beside the forecast that was in force."""
    from dataclasses import replace

    from enova.adapters.history import history_of
    from enova.core.ledger.reported import measurement_in

    history = history_of(session.settings)
    ended_s = report.ended_s or session.now()
    number = history.keep_run(report, service=name, at_s=ended_s)
    if fingerprint and report.valid:
        measurement = measurement_in(report, service=name, ended_s=ended_s, source=f"injection {number}")
        history.add(replace(measurement, fingerprint=fingerprint))
    return number


def write_files(session: Session, report: InjectionReport, html: Path | None, out: Path | None) -> None:
    """Write a report as a page and as JSON, as far as that is asked for. Raises UsageError."""
    if html is not None:
        from enova.render.injection_page import save_page

        save_page(report, html)
        session.say(f"drawn: {html}")
    if out is not None:
        try:
            out.write_text(_json(report), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--out: {out} cannot be written: {error.strerror}") from error


def show_report(session: Session, report: InjectionReport, output: str, color: str) -> None:
    """Write a report to stdout, in the form that is asked for."""
    from enova.render.injection import injection_text

    if output == "json":
        session.stdout.write(_json(report))
    else:
        session.show(injection_text(report), color)


def _json(report: InjectionReport) -> str:
    return report.model_dump_json(exclude_none=True, indent=2) + "\n"


def report_named(session: Session, run: str) -> InjectionReport:
    """Return the report of a run by its number, or of a file."""
    from enova.adapters.history import history_of
    from enova.adapters.measurements.results import read_any

    if run.isdecimal() and not Path(run).exists():
        kept = history_of(session.settings).run(int(run))
        if kept is None:
            raise UsageError(f"there is no run {run}", hint="see `enova inject list`")
        return kept.report
    report, problems = read_any(Path(run))
    if report is None:
        raise MeasurementError(problems)
    return report if report.name else report.model_copy(update={"name": Path(run).name})
