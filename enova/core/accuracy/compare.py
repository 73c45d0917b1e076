"""Put predictions beside measurements, whatever form these came in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from enova.core.accuracy.point import ServingPoint
from enova.core.accuracy.predictor import Predictor
from enova.core.accuracy.recorded_run import RecordedRun, measured_latencies
from enova.core.accuracy.replay import NeverServed
from enova.core.accuracy.score import Comparison, Unpredicted
from enova.core.accuracy.start_up import UNITS, StartUp, logged
from enova.core.engine.memory import memory_of
from enova.core.engine.setup import EngineSetup
from enova.core.engine.step_time import Origin
from enova.core.simulate.forecast import Conditions, forecast
from enova.core.simulate.results import NO_MODEL_ERROR, ModelError
from enova.core.workload.load import load_of
from enova.core.workload.report import REPORTED, InjectionReport
from enova.errors import CannotModel, UsageError

Outcome = Comparison | Unpredicted


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Compares measurements with what a predictor says; `error` gives predictions their bands, None gives none."""

    predictor: Predictor
    error: ModelError | None = None

    def point(self, point: ServingPoint) -> Iterator[Outcome]:
        """Yield mean TTFT and mean TPOT of a point, as far as they were measured."""
        about = _About(point.source, point.name, f"{point.file}:{point.line}", point.model, point.gpu)
        try:
            setup, origin, means = self.predictor.predicted(point)
        except (CannotModel, NeverServed) as problem:
            yield about.unpredicted(problem)
            return
        for metric, measured, predicted in (
            ("ttft_mean", point.ttft_s, means.ttft_s),
            ("tpot_mean", point.tpot_s, means.tpot_s),
        ):
            if measured is not None:
                yield self._banded(about.compared(setup, metric, "s", measured, predicted), origin)

    def run(self, run: RecordedRun) -> Iterator[Outcome]:
        """Yield mean and percentiles of a recorded run, and its KV blocks where they are known."""
        about = _About(run.source, run.name, run.file, run.model, run.gpu)
        try:
            setup = self.predictor.setup_of_run(run)
            origin = self.predictor.step_time(setup).origin
            replayed = self.predictor.replayed(run)
        except (CannotModel, NeverServed) as problem:
            yield about.unpredicted(problem)
            return
        measured = dict(measured_latencies(run).figures())
        for metric, predicted in replayed.latencies.figures():
            yield self._banded(about.compared(setup, metric, "s", measured[metric], predicted), origin)
        if run.kv_blocks is not None:
            blocks = memory_of(setup).kv_blocks
            yield about.compared(setup, "kv_blocks", "blocks", run.kv_blocks, blocks)

    def start_up(self, start: StartUp) -> Iterator[Outcome]:
        """Yield what was logged of an engine's memory; a failed start has nothing to compare."""
        about = _About(start.source, start.name, f"{start.file}:{start.line}", start.model, start.gpu)
        try:
            setup = self.predictor.setup_of_start(start)
            memory = memory_of(setup)
        except CannotModel as problem:
            yield about.unpredicted(problem)
            return
        if not start.started:
            fits = memory.kv_blocks > 0
            verdict = "it has memory enough" if fits else "it has too little memory"
            yield about.unpredicted(f"the start failed, why is not told; predicted: {verdict}")
            return
        predicted = logged(memory)
        for metric, unit in UNITS.items():
            if start.measured.get(metric):
                yield about.compared(setup, metric, unit, start.measured[metric], predicted[metric])

    def report(self, file: str, report: InjectionReport) -> Iterator[Outcome]:
        """Yield the latencies of an injection report, and its throughput, as far as they were measured."""
        tested, sent, found = report.tested, report.sent, report.found
        if tested is None or not report.valid or (report.asked is not None and report.asked.emulated):
            about = _About("injection", report.name or file, file, "", "")
            yield about.unpredicted(
                "; ".join(report.problems)
                or "the report does not say which engine got the load, or no model ran there"
            )
            return
        about = _About("injection", report.name or file, file, tested.model, tested.gpu)
        try:
            setup = self.predictor.setup_of_report(tested)
            origin = self.predictor.step_time(setup).origin
            load = load_of(sent.injection, seed=sent.seed)
            error = self.error or NO_MODEL_ERROR
            conditions = Conditions(requests=sent.requests, warmup_s=sent.warmup_s, error=error, sensitivity=True)
            results = forecast([setup] * tested.replicas, self.predictor.curves, load, conditions)
        except (CannotModel, UsageError) as problem:
            yield about.unpredicted(problem)
            return
        if not results.served:
            yield about.unpredicted("no request of this load can ever run on this engine")
            return
        pairs = [
            (f"{metric}_{statistic}", "s", measured, results.of(metric, statistic))
            for metric in REPORTED
            for statistic, measured in getattr(found, metric).figures().items()
        ]
        pairs.append(("requests_per_s", "/s", found.requests_per_s or 0.0, results.requests_per_s))
        for metric, unit, measured, figure in pairs:
            if measured > 0:
                compared = about.compared(setup, metric, unit, measured, figure.value)
                yield compared._replace(origin=str(origin), low=figure.band.low, high=figure.band.high)

    def _banded(self, compared: Comparison, origin: Origin) -> Comparison:
        compared = compared._replace(origin=str(origin))
        if self.error is None:
            return compared
        low, high = self.error.of(origin, *compared.metric.split("_"))
        return compared._replace(low=compared.predicted * low, high=compared.predicted * high)


@dataclass(frozen=True, slots=True)
class _About:
    source: str
    point: str
    place: str
    model: str
    gpu: str

    def compared(
        self, setup: EngineSetup, metric: str, unit: str, measured: float, predicted: float
    ) -> Comparison:
        kind = "dense" if setup.model.experts is None else "moe"
        return Comparison(
            *(self.source, self.point, self.place, setup.model.name, setup.gpu.name),
            *(kind, metric, unit, measured, predicted),
        )

    def unpredicted(self, reason: object) -> Unpredicted:
        return Unpredicted(self.source, self.point, self.place, self.model, self.gpu, str(reason))
