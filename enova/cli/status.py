"""`enova status`: what runs, how it is, and what is not as it should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from enova.cli.choosing import choosing
from enova.cli.options import Color, Paths, TextOrJson
from enova.cli.session import Session, session_of
from enova.cli.specs import DEFAULT_FOLDER, given_paths, survey_files
from enova.errors import EnovaError

if TYPE_CHECKING:
    from enova.errors import Problem
    from enova.tick import Tick


def status(ctx: typer.Context, paths: Paths = None, output: TextOrJson = "text", color: Color = "auto") -> int:
    """Show what runs, how it is, what is not as the specs say, and what the daemons say that keep it so.

    Without paths and without a folder ./specs it shows what runs and compares it with nothing. Exits with 0, with
    1 if something could not be looked at or a spec is broken, and 64 if called wrongly.

    \b
    Examples:
      $ enova status
      $ enova status specs/chat.yaml -o json
    """
    from enova.core.status import status as status_of
    from enova.core.status import to_json
    from enova.core.watch.report import report_as_data
    from enova.observe import observe
    from enova.render.daemon import daemon_text
    from enova.render.status import status_text
    from enova.tick import plan as make_plan
    from enova.watch.report_file import reports

    session = session_of(ctx)
    world = session.world()
    problems: tuple[Problem, ...] = ()
    if paths or Path(DEFAULT_FOLDER).is_dir():
        given = given_paths(paths)
        specs = survey_files(given, session)
        problems = specs.problems
        how = choosing(session, specs.files, given, None).as_kept(foresee=False)
        services = [file.service for file in specs.files]
        tick = make_plan(services, world, how.knowledge, lock=how.locks.entries, wish=how.wish)
        found = status_of(
            tick.observed,
            now=session.now(),
            desired=tick.desired,
            plan=tick.plan,
            stalled=_stalled(tick, session),
        )
    else:
        observed = observe(world, needed=set(world.runtimes), gpus=False)
        found = status_of(observed, now=session.now())
    daemons = list(reports(session.settings.state_dir))
    if output == "json":
        told = {
            "problems": [str(problem) for problem in problems],
            "daemons": [{"alive": alive, **report_as_data(report)} for report, alive in daemons],
        }
        session.stdout.write(json.dumps(to_json(found) | told, indent=2, ensure_ascii=False) + "\n")
    else:
        session.show(status_text(found), color)
        for report, alive in daemons:
            session.show(daemon_text(report, alive=alive, now_s=session.now()), color)
    for problem in problems:
        session.say(str(problem))
    return 1 if problems else found.exit_code


def _stalled(tick: Tick, session: Session) -> dict[str, str]:
    """Return the services of which this very version was tried last and failed, and why."""
    from enova.adapters.history import history_of
    from enova.core.revision import digest_of, stalled

    try:
        newest = history_of(session.settings).newest_revisions()
    except EnovaError as error:
        session.say(f"note: it is not known what was tried: {error.message}")
        return {}
    found: dict[str, str] = {}
    for one in tick.resolved:
        name, advice = one.service.name, tick.advice.get(one.service.name)
        digest = digest_of(one.written, advice.entry if advice else None)
        failed = stalled(newest.get(name), digest)
        if failed is not None:
            found[name] = failed.reason
    return found
