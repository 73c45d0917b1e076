"""`enova backtest`: what a scaling policy would have made of traffic, before it decides anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli import setups
from enova.cli.options import Color, Paths, TextOrJson, seconds_of
from enova.cli.rehearsed import OURS, How, rehearsed
from enova.cli.replayed import recorded_rates
from enova.cli.session import session_of
from enova.cli.traffic import Traffic
from enova.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

TraceFile = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        metavar="FILE",
        help="CSV or JSONL of requests (time, prompt and output tokens), or of rates (t_s, rate_rps). Default: "
        "the spec's own traffic.",
        show_default=False,
    ),
]
FromHistory = Annotated[
    str | None,
    typer.Option(
        "--from-history", metavar="TIME", help="The traffic of the last so long, as `enova watch` kept it: 24h."
    ),
]
Policies = Annotated[
    list[str] | None,
    typer.Option("--policy", metavar="NAME", help="May be repeated; `all` of them. Default: enova, static-peak."),
]
StartUp = Annotated[
    str | None, typer.Option("--start-up", help="How long a replica takes to start. Default: as predicted.")
]


def backtest(
    ctx: typer.Context,
    paths: Paths = None,
    model: setups.Model = None,
    gpu: setups.Gpus = None,
    tensor_parallel_size: setups.Tensor = None,
    trace: TraceFile = None,
    from_history: FromHistory = None,
    policy: Policies = None,
    start_up: StartUp = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help="Scale the traffic to this mean of requests per second.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", help="Only the first part of the traffic: 2h.")
    ] = None,
    prompt_tokens: Annotated[int | None, typer.Option("--prompt-tokens", min=1, help="Of every prompt.")] = None,
    output_tokens: Annotated[int | None, typer.Option("--output-tokens", min=1, help="Of every answer.")] = None,
    failures: Annotated[
        float, typer.Option("--failures", min=0.0, max=3600.0, help="Times a replica dies in an hour.")
    ] = 0.0,
    slo: Annotated[
        list[str] | None, typer.Option("--slo", help="A promise such as ttft.p99=2s; may be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Another seed is another run.")] = None,
    oracle: Annotated[
        bool | None,
        typer.Option(
            "--oracle/--no-oracle",
            help="Also look for the least that would have done. Default: for up to 200,000 requests.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a report with charts.")
    ] = None,
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Replay traffic against scaling policies on a simulated fleet: SLO attainment, GPU-hours, cost, unrest.

    The policy `enova` is the very code that scales a service; the others follow the documented laws of other
    systems. The oracle knows all traffic beforehand: nobody who does not can be expected to need less.
    Needs no GPU. Exits with 0 if it could be simulated, 1 if an engine would not start, 64 if called wrongly.

    \b
    Examples:
      $ enova backtest specs/chat.yaml --trace yesterday.csv
      $ enova backtest specs/chat.yaml --trace rates.csv --rate 8 --policy all --html report.html
      $ enova backtest specs/chat.yaml --from-history 24h
      $ enova backtest --model Qwen/Qwen3-8B --gpu l40s --trace t.jsonl --slo ttft.p99=2s --start-up 100s
    """
    from enova.render.backtest import reports_as_json, reports_text

    session = session_of(ctx)
    traffic = Traffic(
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        duration=duration,
        seed=seed,
        promises=tuple(slo or ()),
    )
    asked = setups.setups(
        session,
        paths,
        model=model,
        gpus=gpu,
        gpu_memory=None,
        engine={"tensor_parallel_size": tensor_parallel_size},
    )
    names = _policies(policy)
    if trace is not None and from_history is not None:
        raise UsageError("--trace and --from-history do not go together", hint="leave one out")
    past_s = None if from_history is None else seconds_of("--from-history", from_history)
    recorded = {one.service.name: recorded_rates(session, one.service.name, past_s) for one in asked if past_s}
    how = How(
        policies=names,
        rate=rate,
        start_up_s=None if start_up is None else seconds_of("--start-up", start_up),
        failures_per_h=failures,
        oracle=oracle,
    )
    reports = [
        rehearsed(one, traffic, trace or recorded.get(one.service.name), how, named=not model) for one in asked
    ]
    if html is not None:
        from enova.render.backtest_page import save_backtests

        save_backtests(reports, html)
        session.say(f"written: {html}")
    if output == "json":
        session.stdout.write(json.dumps(reports_as_json(reports), indent=2, ensure_ascii=False) + "\n")
    else:
        session.show(reports_text(reports), color)
    return 0


def _policies(asked: Sequence[str] | None) -> tuple[str, ...]:
    from enova.core.backtest.laws.known import LAWS

    if not asked:
        return OURS, "static-peak"
    known = (OURS, *LAWS)
    names = known if "all" in asked else tuple(dict.fromkeys(asked))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"--policy: {', '.join(unknown)} is not known", hint=f"one of {', '.join(known)}, or all")
    return names
