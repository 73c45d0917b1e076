"""`enova simulate`: what users of a service would see, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli import setups
from enova.cli.options import Color, Paths, TextOrJson, check_chart
from enova.cli.session import session_of
from enova.cli.traffic import Traffic, rates_in
from enova.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from enova.cli.setups import Asked
    from enova.core.engine.learnt import Learnt
    from enova.render.forecast import Forecast


def simulate(
    ctx: typer.Context,
    paths: Paths = None,
    model: setups.Model = None,
    gpu: setups.Gpus = None,
    gpu_memory: setups.GpuMemory = None,
    vllm: setups.Vllm = None,
    tensor_parallel_size: setups.Tensor = None,
    pipeline_parallel_size: setups.Pipeline = None,
    data_parallel_size: setups.Data = None,
    enable_expert_parallel: setups.Experts = None,
    max_model_len: setups.Length = None,
    max_num_seqs: setups.Seqs = None,
    max_num_batched_tokens: setups.Batched = None,
    gpu_memory_utilization: setups.Utilization = None,
    kv_cache_dtype: setups.KvDtype = None,
    dtype: setups.Dtype = None,
    quantization: setups.Quantization = None,
    replicas: Annotated[
        int | None, typer.Option("--replicas", min=1, max=10_000, help="Default: scaling.min, or 1.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help="Mean requests per second, of the spec's pattern or at random.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, help="Users who wait for answers, in place of a rate."),
    ] = None,
    prompt_tokens: Annotated[
        int | None,
        typer.Option("--prompt-tokens", min=1, help="Of every prompt. Default: 512 with --model."),
    ] = None,
    output_tokens: Annotated[
        int | None,
        typer.Option("--output-tokens", min=1, help="Of every answer. Default: 128 with --model."),
    ] = None,
    requests: Annotated[
        int | None, typer.Option("--requests", min=1, help="How many to send. Default: enough for sound figures.")
    ] = None,
    duration: Annotated[str | None, typer.Option("--duration", help="How long to send them: 10m.")] = None,
    warmup: Annotated[
        str | None, typer.Option("--warmup", help="Time not counted. Default: a fifth under steady arrivals.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Another seed is another run.")] = None,
    slo: Annotated[
        list[str] | None, typer.Option("--slo", help="A promise such as ttft.p95=500ms; may be repeated.")
    ] = None,
    rates: Annotated[
        str | None, typer.Option("--rates", metavar="A:B:N", help="Also N rates from A to B requests per second.")
    ] = None,
    capacity: Annotated[
        bool, typer.Option("--capacity", help="Also search for the highest rate that keeps every promise.")
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration", metavar="FILE", help="Step times learnt from the engine: `enova calibrate`."
        ),
    ] = None,
    chart: Annotated[
        Path | None, typer.Option("--chart", metavar="FILE", help="Draw it into a .png, .svg or .html file.")
    ] = None,
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Predict latency, throughput and use of a service, each with the band the truth is expected in.

    Needs no GPU. Takes engines, traffic and promises from specs, or from --model, --gpu and further options, which
    replace what specs say. Exits with 0 if it could be simulated, 1 if an engine would not start, 64 if called
    wrongly.

    \b
    Examples:
      $ enova simulate specs/chat.yaml --gpu h100-sxm
      $ enova simulate --model Qwen/Qwen3-32B --gpu h100-sxm --tp 2 --rate 8 --prompt-tokens 1000
      $ enova simulate specs/chat.yaml --rates 1:40:12 --capacity --chart chat.html
    """
    from enova.render.forecast import forecasts_text
    from enova.render.forecast_json import forecasts_as_json

    session = session_of(ctx)
    check_chart(chart)
    traffic = Traffic(
        rate=rate,
        users=concurrency,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        requests=requests,
        duration=duration,
        warmup=warmup,
        seed=seed,
        promises=tuple(slo or ()),
    )
    asked = setups.setups(
        session,
        paths,
        model=model,
        gpus=gpu,
        gpu_memory=gpu_memory,
        engine={
            "version": vllm,
            "tensor_parallel_size": tensor_parallel_size,
            "pipeline_parallel_size": pipeline_parallel_size,
            "data_parallel_size": data_parallel_size,
            "enable_expert_parallel": enable_expert_parallel,
            "max_model_len": int(max_model_len) if max_model_len and max_model_len.isdecimal() else max_model_len,
            "max_num_seqs": max_num_seqs,
            "max_num_batched_tokens": max_num_batched_tokens,
            "gpu_memory_utilization": gpu_memory_utilization,
            "kv_cache_dtype": kv_cache_dtype,
            "dtype": dtype,
            "quantization": quantization,
        },
    )
    swept = rates_in(rates) if rates else ()
    learnt = _learnt_in(calibration) if calibration else None
    forecasts = [_forecast(one, traffic, replicas, swept, learnt, capacity=capacity) for one in asked]
    if chart is not None:
        from enova.render.charts import draw

        draw(forecasts, chart)
        session.say(f"drawn: {chart}")
    if output == "json":
        session.stdout.write(json.dumps(forecasts_as_json(forecasts), indent=2, ensure_ascii=False) + "\n")
    else:
        session.show(forecasts_text(forecasts), color)
    return 0


def _forecast(
    asked: Asked,
    traffic: Traffic,
    replicas: int | None,
    rates: Sequence[float],
    learnt: Learnt | None,
    *,
    capacity: bool,
) -> Forecast:
    from enova.adapters.curves import measured_curves
    from enova.adapters.model_error import measured_error
    from enova.core.engine.fit import fit_of
    from enova.core.engine.service_setup import unmodelled
    from enova.core.simulate.calibrated import calibrated
    from enova.core.simulate.capacity import capacity_of, sweep_of
    from enova.core.simulate.forecast import replica_of, run_of
    from enova.errors import CannotModel
    from enova.render.forecast import Forecast

    service, setup = asked.service, asked.setup
    fit = fit_of(setup)
    if not fit.starts:
        hint = f"try {fit.remedies[0].argument}: {fit.remedies[0].value}" if fit.remedies else None
        raise CannotModel(f"{setup.model.name} does not start on {setup.gpu.name}: {fit.reason}", hint=hint)
    load = traffic.load(service, named=asked.named)
    conditions = traffic.conditions(service, load, measured_error())
    count = replicas or service.scaling.min
    replica = replica_of(setup, measured_curves())
    if learnt:
        replica = calibrated(replica, learnt, seed=load.seed)
    fleet = [replica] * count
    notes = [f"not taken into account: {', '.join(ignored)}"] if (ignored := unmodelled(service)) else []
    if any(recording.estimated for recording in load.recordings.values()):
        notes.append("prompts without prompt_tokens were counted as 4 bytes a token")
    return Forecast(
        service=service.name if asked.named else None,
        setup=setup,
        replicas=count,
        load=load,
        conditions=conditions,
        results=run_of(fleet, load, conditions),
        capacity=capacity_of(fleet, load, conditions) if capacity else None,
        sweep=sweep_of(fleet, load, conditions, rates) if rates else (),
        notes=tuple(notes),
    )


def _learnt_in(file: Path) -> Learnt:
    from enova.core.engine.learnt import learnt_in

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--calibration: {file} cannot be read: {error}") from error
    return learnt_in(text, str(file))
