"""`enova backtest`: what a scaling policy would have made of traffic, before it decides anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli import setups
from enova.cli.options import Color, Paths, TextOrJson, seconds_of
from enova.cli.replayed import Rates, recorded_rates, replayed
from enova.cli.session import session_of
from enova.cli.traffic import Traffic
from enova.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from enova.cli.setups import Asked
    from enova.core.backtest.laws.known import Facts
    from enova.core.backtest.scene import Scene
    from enova.core.control.plant import Plant
    from enova.core.control.sight import Law
    from enova.core.spec import Service
    from enova.render.backtest import Report

OURS = "enova"
MOST_REQUESTS = 5_000_000
ORACLE_REQUESTS = 200_000
"""Above this the oracle, which is some twenty runs, is asked only if somebody wants it."""

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
        rate=None,
        users=None,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        requests=None,
        duration=duration,
        warmup=None,
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
    start_up_s = None if start_up is None else seconds_of("--start-up", start_up)
    reports = [
        _report(
            one,
            traffic,
            trace or recorded.get(one.service.name),
            rate,
            names,
            start_up_s,
            failures,
            oracle=oracle,
            named=not model,
        )
        for one in asked
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


def _report(
    asked: Asked,
    traffic: Traffic,
    trace: Path | Rates | None,
    rate: float | None,
    names: Sequence[str],
    start_up_s: float | None,
    failures: float,
    *,
    oracle: bool | None,
    named: bool,
) -> Report:
    from enova.adapters.curves import measured_curves
    from enova.adapters.model_error import measured_error
    from enova.core.backtest.backtest import backtest as run
    from enova.core.backtest.backtest import traffic_of
    from enova.core.backtest.scene import Scene
    from enova.core.control.capacities import plant_of
    from enova.core.engine.fit import fit_of
    from enova.core.engine.start_up import start_up_s as predicted
    from enova.core.simulate.changes import retries_of
    from enova.core.simulate.forecast import Conditions, replica_of
    from enova.errors import CannotModel
    from enova.render.backtest import Report

    service, setup = asked.service, asked.setup
    fit = fit_of(setup)
    if not fit.starts:
        raise CannotModel(f"{setup.model.name} does not start on {setup.gpu.name}: {fit.reason}")
    load = replayed(service, traffic, trace, rate, named=named)
    promises = traffic.conditions(service, load, measured_error()).promises
    if not promises:
        hint = "say it in the spec under slo, or with --slo ttft.p99=2s"
        raise UsageError(f"{service.name}: nothing is promised, so nothing can be attained", hint=hint)
    replica = replica_of(setup, measured_curves(), start_up_s=start_up_s or predicted(setup))
    routing = service.gateway.policy or "round_robin"
    plant = plant_of(replica, load, Conditions(promises=promises, policy=routing))
    most, limit = _most(service, setup.gpus, _usd_per_h(asked))
    idle = service.scaling.idle_to_zero
    plant = replace(
        plant,
        fewest=service.scaling.min,
        most=most,
        limit=limit,
        idle_to_zero_s=None if idle is None else float(idle),
    )
    requests = tuple(load.requests(MOST_REQUESTS + 1))
    if len(requests) > MOST_REQUESTS:
        raise UsageError(f"the traffic has more than {MOST_REQUESTS:,} requests", hint="cut it with --duration")
    if not requests:
        raise UsageError(f"{service.name}: the traffic holds no requests")
    whole = traffic_of(requests, load.duration_s)
    scene = Scene(
        replica=replica,
        requests=lambda: requests,
        until_s=whole.until_s,
        promises=promises,
        most=most,
        routing=routing,
        retries=retries_of(service.gateway),
        failures_per_h=failures,
        seed=load.seed,
        gpus=setup.gpus,
        usd_per_h=_usd_per_h(asked),
    )
    wanted = len(requests) <= ORACLE_REQUESTS if oracle is None else oracle
    found = run(scene, plant, whole, _laws(names, plant, scene, whole.peak_per_s), oracles=wanted)
    file = trace if isinstance(trace, Path) else None
    return Report(service=service.name if named else None, setup=setup, load=load, trace=file, found=found)


def _laws(names: Sequence[str], plant: Plant, scene: Scene, peak_per_s: float) -> dict[str, Callable[[], Law]]:
    from enova.core.backtest.laws.known import LAWS, Facts
    from enova.core.control.autoscaler import Autoscaler

    facts = Facts(
        plant=plant,
        promises=scene.promises,
        max_num_seqs=scene.replica.limits.max_num_seqs,
        peak_per_s=peak_per_s,
    )

    def made(name: str, facts: Facts) -> Callable[[], Law]:
        return lambda: LAWS[name](facts)

    return {name: (lambda: Autoscaler(plant)) if name == OURS else made(name, facts) for name in names}


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


def _most(service: Service, gpus: int, usd_per_h: float | None) -> tuple[int | None, str]:
    """Return the most replicas that the spec and its budget allow, and what says so."""
    bounds: list[tuple[int, str]] = []
    if service.scaling.max is not None:
        bounds.append((service.scaling.max, f"scaling.max is {service.scaling.max}"))
    if service.budget.gpus is not None and gpus:
        bounds.append((service.budget.gpus // gpus, f"budget.gpus is {service.budget.gpus}"))
    if service.budget.cost is not None and usd_per_h:
        most = int(float(service.budget.cost) / usd_per_h + 1e-9)
        bounds.append((most, f"budget.cost is {float(service.budget.cost):g} USD/h"))
    return min(bounds, default=(None, ""))


def _usd_per_h(asked: Asked) -> float | None:
    price = asked.setup.gpu.price
    return None if price is None else price.usd_per_h * asked.setup.gpus
