"""`enova inject sweep`: the highest rate at which a running service keeps its promises, by trying."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli import inject_options as options
from enova.cli.inject_reports import FAILED, check_files, keep_run
from enova.cli.interrupt import INTERRUPTED
from enova.cli.options import Color, TextOrJson, seconds_of
from enova.cli.session import Session, session_of
from enova.errors import UsageError

if TYPE_CHECKING:
    from enova.cli.inject_run import Prepared
    from enova.core.inject.sweep import Tried
    from enova.core.simulate.results import Results
    from enova.core.workload.report import InjectionReport

LEAST_TOLERANCE = 0.01


def sweep(
    ctx: typer.Context,
    target: options.Target,
    low: Annotated[
        float | None,
        typer.Option(
            "--from", help="Rate to begin with. Default: a quarter of the traffic's.", show_default=False
        ),
    ] = None,
    high: Annotated[float | None, typer.Option("--to", help="Highest rate to try.", show_default=False)] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="How closely the rate is searched for, as a share of it.")
    ] = 0.1,
    profile: options.ProfileFile = None,
    prompt_tokens: options.PromptTokens = None,
    output_tokens: options.OutputTokens = None,
    duration: Annotated[str, typer.Option("--duration", help="How long each rate is sent.")] = "60s",
    warmup: options.Warmup = None,
    seed: options.Seed = None,
    slo: options.Slo = None,
    deadline: options.Deadline = "120s",
    api: options.ApiOption = "completions",
    ignore_eos: options.IgnoreEos = True,
    model: options.ModelName = None,
    api_key_env: options.KeyVariable = None,
    tokenizer: options.TokenizerPlace = None,
    workers: options.Workers = None,
    predict: options.Predict = True,
    html: options.HtmlFile = None,
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Find the highest rate at which a running service keeps every promise, by trying.

    The rate doubles until something breaks, then is bisected; all of it is open-loop, and every run is kept.
    Beside what was measured stands what the simulator foretells of the same. Exits with 0 if a rate was found, 1
    if not.

    \b
    Examples:
      $ enova inject sweep chat --html sweep.html
      $ enova inject sweep http://127.0.0.1:8000 --from 1 --slo ttft.p95=500ms --slo tpot.p95=50ms
    """
    import json

    from enova.cli.inject_aim import aim_of
    from enova.cli.inject_run import How, prepared
    from enova.cli.traffic import Traffic
    from enova.core.inject.sweep import highest_of
    from enova.core.workload.arrivals import mean_rate
    from enova.render.sweep import sweep_json, sweep_text

    session = session_of(ctx)
    check_files(html, None)
    if tolerance < LEAST_TOLERANCE or (low is not None and low <= 0) or (high is not None and high <= (low or 0)):
        words = f"--tolerance must be at least {LEAST_TOLERANCE:g}, --from above 0, and --to above --from"
        raise UsageError(words)
    how = How(
        api=api,
        stream=True,
        ignore_eos=ignore_eos,
        model=model,
        tokenizer=tokenizer,
        deadline_s=seconds_of("--deadline", deadline),
        in_flight=None,
        workers=workers,
        predict=predict,
    )
    aim = aim_of(session, target, profile=profile, model=model, key_variable=api_key_env)
    stated = aim.service.injection.arrival and mean_rate(aim.service.injection.arrival)

    def run_at(rate: float) -> Prepared:
        traffic = Traffic(
            rate=rate,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            duration=duration,
            warmup=warmup,
            seed=seed,
            promises=tuple(slo or ()),
        )
        return prepared(aim, traffic, how)

    def keep(report: InjectionReport) -> int:
        return keep_run(session, report, aim.name, aim.fingerprint)

    start = low or (stated / 4 if stated else 1.0)
    tried, foretold = _swept(session, run_at, low=start, high=high, tolerance=tolerance, color=color, keep=keep)
    if not tried:
        return INTERRUPTED
    if html is not None:
        from enova.render.injection_page import save_sweep

        save_sweep(aim.name, tried, foretold, html)
        session.say(f"drawn: {html}")
    if output == "json":
        session.stdout.write(json.dumps(sweep_json(tried), indent=2, ensure_ascii=False) + "\n")
    else:
        session.show(sweep_text(tried, foretold), color)
    return FAILED if highest_of(tried) is None else 0


def _swept(
    session: Session,
    run_at: Callable[[float], Prepared],
    *,
    low: float,
    high: float | None,
    tolerance: float,
    color: str,
    keep: Callable[[InjectionReport], int],
) -> tuple[list[Tried], list[tuple[float, Results]]]:
    """Send one rate after the other until the highest is known; and return what was foretold at each.

    Ctrl-C ends the search with the run under way, which then counts for nothing.
    """
    from enova.cli.inject_run import injected, predicted_of
    from enova.core.inject.sweep import Tried, next_rate
    from enova.render.forecast import rate as shown

    tried: list[Tried] = []
    foretold: list[tuple[float, Results]] = []
    while (rate := next_rate(tried, low=low, high=high, tolerance=tolerance)) is not None:
        run = run_at(rate)
        if not run.conditions.promises and run.conditions.availability is None:
            raise UsageError("nothing is promised that a rate could break", hint="add slo to the spec, or --slo")
        session.say(f"{shown(rate)}/s")
        predicted = predicted_of(run)
        report = injected(session, replace(run, predict=False), color)
        if report.sent.delivery is not None and report.sent.delivery.stopped:
            break
        if not isinstance(predicted, str):
            foretold.append((rate, predicted))
        number = keep(report)
        one = Tried(rate, report)
        tried.append(one)
        words = "kept" if one.kept else "; ".join(report.problems) or "broken"
        session.say(f"{shown(rate)}/s: {words} (run {number})")
        if not report.valid and report.sent.delivery is not None and report.found.served:
            session.say("the client was the limit, or late: what is above is not known")
    return tried, sorted(foretold, key=lambda pair: pair[0])
