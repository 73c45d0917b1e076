"""Ways to run one replica: a GPU, how many of them, and the engine arguments with which it starts there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from enova.core.engine.fit import fit_of, most_of_memory
from enova.core.engine.memory import memory_of
from enova.core.engine.service_setup import setup_of_service
from enova.core.engine.setup import EngineSetup
from enova.core.inventory import Pool
from enova.core.recommend.fields import Chosen, filled, pinned
from enova.core.recommend.question import Question
from enova.core.spec import Service
from enova.errors import CannotModel

PARALLEL = (1, 2, 4, 8, 16)
"""Tensor-parallel sizes that are tried; others divide few models' heads."""
STAGES = (2, 4, 8)
"""Pipeline-parallel sizes, where no number of ranks alone will do."""
ROUNDED_TO = 1024
"""Tokens: a chosen max_model_len is a multiple of it where that leaves enough."""
TIGHT_SHARE = 0.95
"""Of the memory, asked for where vLLM's own share is not enough."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One way to run a replica. `chosen` holds what differs from vLLM's defaults and was not pinned."""

    pool: Pool
    service: Service
    """With what was chosen filled in."""
    setup: EngineSetup
    chosen: Chosen

    @property
    def gpus(self) -> int:
        """Return the GPUs of one replica; 0 on CPUs."""
        return self.service.gpus_per_replica

    @cached_property
    def key(self) -> str:
        """Return what tells it apart from all others of one question."""
        return f"{self.pool.source} {self.pool.per_host} {self.pool.gpu.name} {sorted(self.chosen.items())}"

    @property
    def usd_per_h(self) -> float | None:
        """Return what one replica costs; None: no price is known."""
        price = self.pool.gpu.price
        return None if price is None else price.usd_per_h * self.setup.gpus

    @cached_property
    def words(self) -> str:
        """Return it for people: `h100-sxm TP2, max_num_seqs 64`."""
        setup = self.setup
        sizes = (("TP", setup.tensor_parallel), ("PP", setup.pipeline_parallel), ("DP", setup.data_parallel))
        split = "".join(f" {name}{size}" for name, size in sizes if size > 1)
        rest = [
            f"{field.partition('.')[2]} {value}"
            for field, value in sorted(self.chosen.items())
            if field.startswith("engine.") and "parallel" not in field
        ]
        return ", ".join([self.pool.gpu.name + split, *rest])

    def order(self) -> tuple[Any, ...]:
        """Return what breaks ties: fewer GPUs, fewer changes of vLLM's defaults, then the name."""
        return self.gpus, len(self.chosen), self.pool.gpu.name, self.words


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A way that will not do, and why."""

    words: str
    """The way."""
    reason: str
    usd_per_h: float | None = None
    """What it would cost, where that is known."""


def shapes_of(question: Question) -> tuple[list[Shape], list[Lost]]:
    """Return every way in which one replica starts, and those in which it would not."""
    found: list[Shape] = []
    lost: list[Lost] = []
    for pool in question.inventory.pools:
        for numerics in _numerics(question):
            here: list[Shape] = []
            for ranks, stages in _splits(question, pool):
                # Stages help where a model cannot be shared by ranks alone; else they only add latency.
                if stages > 1 and here and not pinned(question.service, "engine.pipeline_parallel_size"):
                    break
                shape = _starting(question, pool, _split(ranks, stages) | numerics)
                if isinstance(shape, Shape):
                    here.append(shape)
                else:
                    lost.append(shape)
            found += here
    return found, lost


def shape_with(question: Question, pool: Pool, chosen: Chosen) -> Shape:
    """Return one way, whether it starts or not. Raises CannotModel for what cannot be modelled there."""
    service = filled(question.service, chosen)
    own = {field: value for field, value in chosen.items() if not pinned(question.service, field)}
    return Shape(pool=pool, service=service, setup=setup_of_service(service, question.model, pool.gpu), chosen=own)


def _split(ranks: int, stages: int) -> dict[str, Any]:
    """One rank and one stage are vLLM's default, and are not named."""
    sizes = {"engine.tensor_parallel_size": ranks, "engine.pipeline_parallel_size": stages}
    return {field: size for field, size in sizes.items() if size > 1}


def _splits(question: Question, pool: Pool) -> Iterator[tuple[int, int]]:
    service = question.service
    engine = service.engine
    if pool.gpu.vendor == "cpu" or question.evidence.learnt is not None:
        yield engine.tensor_parallel_size or 1, engine.pipeline_parallel_size or 1
        return
    fixed_ranks = engine.tensor_parallel_size if pinned(service, "engine.tensor_parallel_size") else None
    fixed_stages = engine.pipeline_parallel_size if pinned(service, "engine.pipeline_parallel_size") else None
    beside = (engine.data_parallel_size or 1) * (engine.prefill_context_parallel_size or 1)
    most = pool.per_host // beside
    stages = [fixed_stages] if fixed_stages else [1, *STAGES]
    for size in stages:
        for ranks in [fixed_ranks] if fixed_ranks else PARALLEL:
            if ranks * size <= most:
                yield ranks, size


def _numerics(question: Question) -> Iterator[dict[str, Any]]:
    """Yield changes of number formats: none, then those that the user allows."""
    service = question.service
    allowed = service.engine.may_quantize if question.evidence.learnt is None else ()
    yield {}
    cache = {"engine.kv_cache_dtype": "fp8"} if "kv_cache" in allowed else {}
    weights = {"engine.quantization": "fp8"} if "weights" in allowed else {}
    if pinned(service, "engine.kv_cache_dtype") or question.model.kv_cache is not None:
        cache = {}
    if pinned(service, "engine.quantization"):
        weights = {}
    for change in (cache, weights, cache | weights if cache and weights else {}):
        if change:
            yield change


def _starting(question: Question, pool: Pool, chosen: dict[str, Any]) -> Shape | Lost:
    """Return the way with the mildest change that lets it start."""
    service = question.service
    try:
        shape = shape_with(question, pool, chosen)
        if pool.gpu.vendor != "cpu" and "engine.quantization" in chosen and not _has_format(shape):
            return Lost(words=shape.words, reason=f"{pool.gpu.name} has no hardware for fp8")
        fit = fit_of(shape.setup)
        if fit.starts:
            return shape
        reason = fit.reason or ""
        for change in _remedies(question, shape):
            changed = shape_with(question, pool, chosen | change)
            if fit_of(changed.setup).starts:
                return changed
    except CannotModel as error:
        return Lost(words=pool.gpu.name, reason=error.message)
    pins = [field for field in ("engine.max_model_len", "engine.gpu_memory_utilization") if pinned(service, field)]
    return Lost(words=shape.words, reason=reason + (f"; {' and '.join(pins)} pinned" if pins else ""))


def _remedies(question: Question, shape: Shape) -> Iterator[dict[str, Any]]:
    """Yield changes that may let it start: a length that still holds the requests, another share of memory."""
    service, wanted = question.service, question.demand.longest if question.demand else 1
    shares: list[float | None] = [None]
    if not pinned(service, "engine.gpu_memory_utilization") and shape.setup.gpu.vendor != "cpu":
        shares += _shares(shape.setup)
    for share in shares:
        changed = {} if share is None else {"engine.gpu_memory_utilization": share}
        if changed:
            yield changed
        if not pinned(service, "engine.max_model_len"):
            tried = shape_with(question, shape.pool, dict(shape.chosen) | changed)
            yield from (changed | shorter for shorter in _shorter(tried.setup, wanted))


def _shares(setup: EngineSetup) -> list[float]:
    """Return the share to ask for where vLLM's own is too little, or more than is free once CUDA has started."""
    most = min(TIGHT_SHARE, most_of_memory(setup))
    return [] if most == setup.gpu_memory_utilization else [most]


def _shorter(setup: EngineSetup, wanted: int) -> Iterator[dict[str, Any]]:
    longest = min(memory_of(setup).longest, setup.max_model_len)
    rounded = longest // ROUNDED_TO * ROUNDED_TO
    length = rounded if rounded >= wanted else longest
    if length >= wanted and length > 0:
        yield {"engine.max_model_len": length}


def _has_format(shape: Shape) -> bool:
    return any(numbers.value.startswith("fp8") for numbers in shape.pool.gpu.flops)
