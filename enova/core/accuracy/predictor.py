"""Predict what was measured, from nothing but what the engine was and what load it got."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from enova.core.accuracy.point import ServingPoint
from enova.core.accuracy.protocol import (
    Protocol,
    Protocols,
    Setting,
    card_as_measured,
    protocol_of,
    version_of,
)
from enova.core.accuracy.recorded_run import RecordedRun, Replayed, replay_run
from enova.core.accuracy.replay import Means, replay
from enova.core.accuracy.start_up import StartUp
from enova.core.engine.curves import Curves
from enova.core.engine.defaults import cudagraph_sizes, engine_setup
from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.model_card import ModelCard
from enova.core.engine.numbers import Numbers
from enova.core.engine.roofline import frontend_of, step_time_of
from enova.core.engine.setup import EngineSetup, Version
from enova.core.engine.step_time import Origin, StepTime
from enova.core.simulate.limits_of import limits_of
from enova.core.workload.report import Tested
from enova.errors import CannotModel


def setup_with(
    model: ModelCard, gpu: GpuCard, settings: Mapping[str, Setting], *, vllm: Version, **parallel: Any
) -> EngineSetup:
    """Return an engine with settings by the names of EngineSetup; `cudagraph_max` is the largest graph's size.

    Raises CannotModel for a setting that an engine has not.
    """
    given: dict[str, Any] = dict(settings)
    if "kv_cache" in given:
        given["kv_cache"] = _kv_format(str(given["kv_cache"]))
    if "cudagraph_max" in given:
        given["graph_sizes"] = cudagraph_sizes(int(given.pop("cudagraph_max")), vllm=vllm)
    unknown = sorted(given.keys() - _ARGUMENTS - _FIELDS)
    if unknown:
        raise CannotModel(
            f"an engine has no setting {', '.join(unknown)}",
            hint=f"one of {', '.join(sorted(_ARGUMENTS | _FIELDS))}",
        )
    arguments = {name: given[name] for name in given.keys() & _ARGUMENTS}
    try:
        setup = engine_setup(model, gpu, vllm=vllm, **arguments, **parallel)
    except (TypeError, ValueError) as error:
        raise CannotModel(f"an engine cannot have these settings: {error}") from error
    return replace(setup, **{name: given[name] for name in given.keys() - _ARGUMENTS})


def _kv_format(word: str) -> Numbers | None:
    """Return vLLM's word for the cache's format as ours: fp8_e4m3 and its kin are all one byte."""
    if word == "auto":
        return None
    try:
        return Numbers.FP8 if word.startswith("fp8") else Numbers(_DTYPES.get(word, word))
    except ValueError:
        raise CannotModel(f"kv_cache {word} is not known") from None


_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_FIXED = {"model", "gpu", "vllm"}
_ARGUMENTS = inspect.signature(engine_setup).parameters.keys() - _FIXED
_FIELDS = {entry.name for entry in fields(EngineSetup)} - _FIXED


class Predicted(NamedTuple):
    """What is predicted of a point."""

    setup: EngineSetup
    origin: Origin
    means: Means


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """All that predictions depend on beside the measured point: facts, and the coefficients of the model."""

    model_of: Callable[[str], ModelCard]
    """Return the card of a model. Raises CannotModel for those unknown."""
    gpu_of: Callable[[str], GpuCard]
    """Return the card of a GPU. Raises CannotModel for those unknown."""
    protocols: Protocols
    curves: Curves
    _known: dict[object, Predicted] = field(default_factory=dict, repr=False)

    def setup_of(self, point: ServingPoint) -> EngineSetup:
        """Return the engine a point was measured on. Raises CannotModel for what is not known."""
        return self._setup_of(point, protocol_of(point, self.protocols))

    def means(self, point: ServingPoint) -> Means:
        """Return what the clients of a point would report.

        Raises CannotModel for what is not known, NeverServed when the engine could not have run the load.
        """
        return self.predicted(point).means

    def predicted(self, point: ServingPoint) -> Predicted:
        """Return the same, with the card of the model and where step times came from."""
        protocol = protocol_of(point, self.protocols)
        # Tables repeat configurations; the simulation need not.
        key = (
            *(point.model, point.quantisation, point.gpu, point.pipeline_parallel),
            *(point.users, point.isl, point.osl, protocol.clients, tuple(sorted(protocol.engine.items()))),
            *(protocol.vllm, protocol.tensor_parallel, protocol.data_parallel, protocol.expert_parallel),
        )
        if key not in self._known:
            setup = self._setup_of(point, protocol)
            step_time = self.step_time(setup)
            means = replay(protocol.load(point), step_time, limits_of(setup), frontend_of(self.curves))
            self._known[key] = Predicted(setup, step_time.origin, means)
        return self._known[key]

    def setup_of_run(self, run: RecordedRun) -> EngineSetup:
        """Return the engine of a recorded run. Raises CannotModel for what is not known."""
        model = self.model_of(run.model)
        return setup_with(
            model,
            self.gpu_of(run.gpu),
            run.engine,
            vllm=run.vllm,
            tensor_parallel=run.tensor_parallel,
            data_parallel=run.data_parallel,
            expert_parallel=run.expert_parallel and model.experts is not None,
        )

    def replayed(self, run: RecordedRun) -> Replayed:
        """Return what becomes of a recorded run's requests.

        Raises CannotModel for what is not known, NeverServed when a request can never run.
        """
        setup = self.setup_of_run(run)
        return replay_run(run, self.step_time(setup), limits_of(setup))

    def setup_of_start(self, start: StartUp) -> EngineSetup:
        """Return the engine that was started. Raises CannotModel for what is not known."""
        gpu = self.gpu_of(start.gpu)
        settings: dict[str, Setting] = {
            "max_model_len": start.max_model_len,
            "gpu_memory_utilization": start.gpu_memory_utilization,
            "kv_cache": start.kv_cache,
        }
        return setup_with(
            self.model_of(start.model),
            gpu if start.memory_bytes is None else replace(gpu, memory_bytes=start.memory_bytes),
            settings,
            vllm=start.vllm,
            tensor_parallel=start.tensor_parallel,
            pipeline_parallel=start.pipeline_parallel,
            data_parallel=start.data_parallel,
            numbers=Numbers(start.dtype),
            quantization=Numbers.FP8 if start.quantisation == "fp8" else None,
        )

    def setup_of_report(self, tested: Tested) -> EngineSetup:
        """Return the engine that got a load. Raises CannotModel for what is not known."""
        return setup_with(
            self.model_of(tested.model),
            self.gpu_of(tested.gpu),
            tested.setup,
            vllm=version_of(tested.vllm),
        )

    def step_time(self, setup: EngineSetup) -> StepTime:
        """Return the step times of an engine. Raises CannotModel where there are no curves for the GPU."""
        try:
            return step_time_of(setup, self.curves)
        except KeyError as missing:
            raise CannotModel(f"cannot model {setup.gpu.name}: no efficiency curves {missing}") from None

    def _setup_of(self, point: ServingPoint, protocol: Protocol) -> EngineSetup:
        published = self.model_of(point.model)
        return setup_with(
            card_as_measured(point, published, self.protocols.checkpoints),
            self.gpu_of(point.gpu),
            protocol.engine,
            vllm=protocol.vllm,
            tensor_parallel=protocol.tensor_parallel,
            pipeline_parallel=point.pipeline_parallel,
            data_parallel=protocol.data_parallel,
            expert_parallel=protocol.expert_parallel and published.experts is not None,
        )
