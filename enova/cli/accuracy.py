"""`enova accuracy`: how far predictions are from what somebody measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli.options import TextOrJson
from enova.cli.session import Session, session_of

if TYPE_CHECKING:
    from enova.adapters.measurements.collect import Measurements
    from enova.core.accuracy.compare import Judge, Outcome

PROGRESS_S = 5.0

Files = Annotated[list[str], typer.Argument(metavar="FILE", help="Measured data: files or folders.")]
Summary = Annotated[bool, typer.Option("--summary", help="Only the scores of groups, not every row.")]
ChartFile = Annotated[
    Path | None,
    typer.Option("--chart", metavar="FILE", help="Draw recorded runs beside their predictions: SVG, PNG or PDF."),
]


def accuracy(
    ctx: typer.Context,
    files: Files,
    output: TextOrJson = "text",
    summary: Summary = False,
    chart: ChartFile = None,
) -> int:
    """Predict what was measured, and show how wrong that is: every row, and groups by GPU, model and metric.

    Reads tables with aiconfigurator's columns, folders of LLMServingSim's runs of vLLM, tables of vLLM's memory
    at start-up, and injection reports; which of these a file is shows in its content. Rows that cannot be
    predicted are counted, with the reason. Needs no GPU, and no network for models Enova has facts for.

    \b
    Examples:
      $ enova accuracy measured.csv
      $ enova accuracy runs/ --summary
      $ enova accuracy runs/rtx4090 --chart rtx4090.svg -o json
    """
    from enova.adapters.measurements.collect import read_measurements
    from enova.core.accuracy.score import Comparison, Unpredicted
    from enova.render.accuracy import as_json, as_text

    session = session_of(ctx)
    measurements = read_measurements(files)
    judge = a_judge()
    if chart is not None:
        _draw(chart, measurements, judge)
    outcomes = list(progress(outcomes_of(measurements, judge), len(measurements), session))
    comparisons = [outcome for outcome in outcomes if isinstance(outcome, Comparison)]
    unpredicted = [outcome for outcome in outcomes if isinstance(outcome, Unpredicted)]
    if output == "json":
        session.stdout.write(as_json(comparisons, unpredicted))
    else:
        session.stdout.write(as_text(comparisons, unpredicted, rows=not summary))
    session.say(f"{len(comparisons)} figures predicted, {len(unpredicted)} rows not")
    return 0


def a_judge() -> Judge:
    """Return what compares measurements with the model this version of Enova predicts with."""
    from enova.adapters.curves import measured_curves
    from enova.adapters.facts import gpu_card
    from enova.adapters.measurements.protocols import protocols
    from enova.adapters.model_error import measured_error
    from enova.adapters.models import find_card
    from enova.core.accuracy.compare import Judge
    from enova.core.accuracy.predictor import Predictor
    from enova.facts.reading import known_models

    predictor = Predictor(
        # Facts first: what is in somebody's cache must not change the figures.
        model_of=lambda name: known_models().find(name) or find_card(name),
        gpu_of=gpu_card,
        protocols=protocols(),
        curves=measured_curves(),
    )
    error = measured_error()
    return Judge(predictor=predictor, error=error if error.factors else None)


def outcomes_of(measurements: Measurements, judge: Judge) -> Iterator[list[Outcome]]:
    """Yield what becomes of each measurement, one after another."""
    yield from (list(judge.point(point)) for point in measurements.points)
    yield from (list(judge.run(run)) for run in measurements.runs)
    yield from (list(judge.start_up(start)) for start in measurements.starts)
    yield from (list(judge.report(file, report)) for file, report in measurements.reports)


def progress(each: Iterable[list[Outcome]], count: int, session: Session) -> Iterator[Outcome]:
    """Yield all outcomes, and say from time to time how many measurements are done."""
    said_s = session.monotonic()
    for done, outcomes in enumerate(each, start=1):
        yield from outcomes
        if session.monotonic() - said_s >= PROGRESS_S:
            said_s = session.monotonic()
            session.say(f"{done} of {count} predicted")


def _draw(chart: Path, measurements: Measurements, judge: Judge) -> None:
    from enova.errors import CannotModel, UsageError
    from enova.render.run_chart import draw_runs

    if not measurements.runs:
        raise UsageError("there is nothing to draw", hint="--chart shows recorded runs, folders with meta.json")
    try:
        pairs = [(run, judge.predictor.replayed(run)) for run in measurements.runs]
    except CannotModel as problem:
        raise UsageError(f"cannot be drawn: {problem}") from problem
    draw_runs(pairs, chart)
