"""A service: the whole of what a user writes down. Unset means "you choose"."""

from __future__ import annotations

import math
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from enova.core.spec.engine import Engine
from enova.core.spec.fault import Fault, raise_all
from enova.core.spec.fields import (
    LabelKey,
    LabelValue,
    Name,
    PositiveDuration,
    Section,
    Text,
    Word,
    key,
    section,
    without_notes,
)
from enova.core.spec.gateway import Gateway
from enova.core.spec.injection import Injection
from enova.core.spec.model import Model
from enova.core.spec.scaling import Scaling
from enova.core.spec.units import Duration, Money, Percent

Words = Annotated[tuple[Word, ...], Strict(strict=False)]


class Metadata(Section):
    """What the service is called."""

    name: Name = key("Name of the service, unique among all of them.", "chat", ...)
    labels: dict[LabelKey, LabelValue] = key("Your own labels, for finding and grouping.", {"team": "search"}, {})


class Percentiles(Section):
    """Targets for shares of the requests. A mean is no target: it hides the slow ones."""

    p50: PositiveDuration | None = key("Half of all requests are at least as fast.", "200ms")
    p90: PositiveDuration | None = key("90 % of requests are at least as fast.", "400ms")
    p95: PositiveDuration | None = key("95 % of requests are at least as fast.", "500ms")
    p99: PositiveDuration | None = key("99 % of requests are at least as fast.", "1s")
    p99_9: PositiveDuration | None = key("99.9 % of requests are at least as fast.", "2s")

    @model_validator(mode="after")
    def _in_order(self) -> Percentiles:
        raise_all(
            [
                Fault(f"must be at least {low} ({low_target})", path=(high,))
                for (low, low_target), (high, high_target) in pairwise(self.targets().items())
                if high_target < low_target
            ]
        )
        return self

    def targets(self) -> dict[str, Duration]:
        """Return the targets that are set, lowest percentile first."""
        named = ((name, getattr(self, name)) for name in Percentiles.model_fields)
        return {name: target for name, target in named if target is not None}


class Slo(Section):
    """What users of the service are promised."""

    ttft: Percentiles = section("Time to the first token.", Percentiles, {"p95": "500ms"})
    tpot: Percentiles = section(
        "Mean time per token after the first, of one request.", Percentiles, {"p99": "50ms"}
    )
    itl: Percentiles = section("Time between two tokens of a stream.", Percentiles, {"p99": "100ms"})
    e2e: Percentiles = section("Time to the whole answer.", Percentiles, {"p95": "20s"})
    availability: Percent | None = key("Share of requests answered without an error.", "99.9%")

    @model_validator(mode="after")
    def _fit_together(self) -> Slo:
        whole = self.e2e.targets()
        raise_all(
            [
                Fault(f"must be at least ttft.{name} ({first}): the first token is part of it", path=("e2e", name))
                for name, first in self.ttft.targets().items()
                if name in whole and whole[name] < first
            ]
        )
        return self


class Budget(Section):
    """The most the service may use."""

    cost: Money | None = key("Most US dollars per hour, written `12 USD/h`.", "12 USD/h")
    gpus: Annotated[int, Field(ge=1, le=100_000)] | None = key("Most GPUs.", 4)


class Placement(Section):
    """Where replicas run."""

    runtime: Literal["docker", "process"] | None = key("What runs the replicas.", "docker")
    accelerator: Literal["gpu", "cpu"] | None = key(
        "What the engine computes on; `cpu` goes with an image built for it. Unset means gpu.", "cpu"
    )
    gpu_types: Annotated[tuple[Text, ...], Strict(strict=False)] = key(
        "GPUs that may be used, by name.", ["H100", "L40S"], (), min_length=1, max_length=100
    )
    hosts: Words = key("Hosts that may be used.", ["gpu-1"], (), min_length=1, max_length=1000)
    devices: Words = key(
        "GPUs of the host that may be used, by index (in quotes) or UUID.",
        ["0", "1"],
        (),
        min_length=1,
        max_length=1000,
    )


class Probe(Section):
    """The request a new replica has to answer before it gets traffic."""

    prompt: Text = key("What is asked.", "Say hello.", "Hello")
    max_tokens: Annotated[int, Field(ge=1, le=4096)] = key("Tokens to generate.", 4, 4)
    timeout: PositiveDuration = key("How long the answer may take.", "1m", Duration(60))


class Canary(Section):
    """How new replicas are tried beside old ones before the rest follows."""

    share: Percent = key("How many of the replicas are tried; at least one.", "10%", Percent(10))
    duration: PositiveDuration = key(
        "For how long they are compared with the others, by SLOs and errors.", "10m", Duration(600)
    )
    slower: Percent = key(
        "By how much they may be slower where no SLO says what is slow enough.", "20%", Percent(20)
    )


class Rollout(Section):
    """How old replicas give way to new ones."""

    surge: Annotated[int, Field(ge=0, le=10_000)] = key("Replicas above the wanted number while replacing.", 1, 1)
    max_unavailable: Annotated[int, Field(ge=0, le=10_000)] = key(
        "Replicas below the wanted number while replacing.", 0, 0
    )
    ready_timeout: PositiveDuration = key("How long a replica may take to get ready.", "20m", Duration(1200))
    settle: Duration = key(
        "How long a replica that replaces another has to stay up before it gets traffic.", "15s", Duration(15)
    )
    canary: Canary | None = key("Try a share of the replicas before the rest follows.", {"share": "25%"})
    drain_timeout: Duration = key("How long running requests may go on before a stop.", "30s", Duration(30))
    stop_timeout: Duration = key("How long a replica may take to stop before it is killed.", "30s", Duration(30))
    probe: Probe = section("The request a new replica has to answer first.", Probe, {"prompt": "Say hello."})

    @model_validator(mode="after")
    def _can_move(self) -> Rollout:
        if self.surge == 0 and self.max_unavailable == 0:
            raise Fault(
                "must be at least 1 when surge is 0, or nothing could be replaced", path=("max_unavailable",)
            )
        return self


class Service(Section):
    """One model behind one endpoint: what you want to be true."""

    api_version: Literal["enova/v1"] = Field(
        "enova/v1", alias="apiVersion", description="Version of this format.", examples=["enova/v1"]
    )
    kind: Literal["Service"] = key("What this document describes.", "Service", "Service")
    metadata: Metadata = key("What the service is called.", {"name": "chat"}, ...)
    model: Model = key("What to serve: a mapping, or only the id.", "Qwen/Qwen2.5-7B-Instruct", ...)
    engine: Engine = section("How replicas are run.", Engine, {"tensor_parallel_size": 2})
    slo: Slo = section("What users are promised.", Slo, {"ttft": {"p95": "500ms"}})
    budget: Budget = section("The most it may use.", Budget, {"cost": "12 USD/h"})
    placement: Placement = section("Where replicas run.", Placement, {"runtime": "docker"})
    injection: Injection = section(
        "The traffic it is built for and tested with.",
        Injection,
        {"arrival": {"process": "poisson", "rate": "20/s"}},
    )
    scaling: Scaling = section("How many replicas there may be.", Scaling, {"min": 1, "max": 4})
    gateway: Gateway = section("The endpoint users call.", Gateway, {"port": 9199})
    rollout: Rollout = section("How old replicas give way to new ones.", Rollout, {"surge": 1})
    suspend: bool = key("Leave everything as it is and change nothing.", True, False)

    _ignore_notes = model_validator(mode="before")(without_notes)

    @model_validator(mode="after")
    def _fit_together(self) -> Service:
        raise_all(list(_misfits(self)))
        return self

    @property
    def name(self) -> str:
        """Return metadata.name."""
        return self.metadata.name

    @property
    def runtime(self) -> Literal["docker", "process"]:
        """Return what runs the replicas and the gateway: placement.runtime, or what suits the engine."""
        return self.placement.runtime or ("process" if self.engine.kind == "emulated" else "docker")

    @property
    def gpus_per_replica(self) -> int:
        """Return how many GPUs one replica holds: a worker per tensor, pipeline, data and context rank."""
        if self.engine.kind == "emulated" or self.placement.accelerator == "cpu":
            return 0
        sizes = (
            self.engine.tensor_parallel_size,
            self.engine.pipeline_parallel_size,
            self.engine.data_parallel_size,
            self.engine.prefill_context_parallel_size,
        )
        return math.prod(size or 1 for size in sizes)


_HOST = ("gateway", "host")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _misfits(service: Service) -> Iterator[Fault]:
    gpus = service.gpus_per_replica
    wanted = gpus * service.scaling.min
    if service.budget.gpus is not None and service.budget.gpus < wanted:
        message = f"must be at least {wanted}: {service.scaling.min} x {gpus} per replica"
        yield Fault(message, hint="lower scaling.min or the parallel sizes", path=("budget", "gpus"))
    if service.placement.devices and len(service.placement.devices) < gpus:
        yield Fault(f"must name at least the {gpus} GPUs of one replica", path=("placement", "devices"))
    if service.runtime == "docker" and not _is_address(service.gateway.host):
        # Docker takes what is no address for all addresses, and says nothing.
        hint = "127.0.0.1, or 0.0.0.0 for all; host names go with placement.runtime: process"
        yield Fault("must be an IP address of this host, on which Docker publishes", hint=hint, path=_HOST)
    if service.model.lora and service.engine.enable_lora is False:
        yield Fault("must not be false while model.lora names adapters", path=("engine", "enable_lora"))
