"""From specs, or from options that stand for one, to engine setups that can be forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli.session import Session
from enova.cli.specs import load_services
from enova.errors import ObserveError, UsageError

if TYPE_CHECKING:
    from enova.core.engine.gpu_card import GpuCard
    from enova.core.engine.setup import EngineSetup
    from enova.core.spec import Service

Model = Annotated[str | None, typer.Option("--model", help="A hub id or folder, in place of specs.")]
Gpus = Annotated[
    list[str] | None,
    typer.Option(
        "--gpu",
        help="GPU by name, see `enova gpus`; may be repeated. Default: placement.gpu_types, or those here.",
    ),
]
GpuMemory = Annotated[
    str | None, typer.Option("--gpu-memory", help="Memory of each, where it differs from the facts: 40GiB.")
]
Tensor = Annotated[int | None, typer.Option("--tensor-parallel-size", "--tp", help="GPUs that share each layer.")]
Pipeline = Annotated[int | None, typer.Option("--pipeline-parallel-size", "--pp", help="Stages of layers.")]
Data = Annotated[int | None, typer.Option("--data-parallel-size", "--dp", help="Copies of the attention layers.")]
Experts = Annotated[
    bool | None, typer.Option("--enable-expert-parallel", "--ep", help="Spread experts.", show_default=False)
]
Length = Annotated[str | None, typer.Option("--max-model-len", help="Longest sequence in tokens, or auto.")]
Seqs = Annotated[int | None, typer.Option("--max-num-seqs", help="Most sequences in one step.")]
Batched = Annotated[int | None, typer.Option("--max-num-batched-tokens", help="Most tokens in one step.")]
Utilization = Annotated[
    float | None, typer.Option("--gpu-memory-utilization", help="Share of the memory to use, 0 to 1.")
]
KvDtype = Annotated[str | None, typer.Option("--kv-cache-dtype", help="Format of the KV cache, for example fp8.")]
Dtype = Annotated[str | None, typer.Option("--dtype", help="Format of weights that are not quantised.")]
Quantization = Annotated[str | None, typer.Option("--quantization", help="Quantise while loading: fp8.")]
Vllm = Annotated[
    str | None, typer.Option("--vllm", help="Version of vLLM. Default: engine.version, or the newest.")
]


@dataclass(frozen=True, slots=True)
class Asked:
    """One engine that is asked about."""

    service: Service
    setup: EngineSetup
    named: bool
    """Whether it comes from a spec."""


def setups(
    session: Session,
    paths: Sequence[str] | None,
    *,
    model: str | None,
    gpus: Sequence[str] | None,
    gpu_memory: str | None,
    engine: Mapping[str, object],
) -> list[Asked]:
    """Return an engine for every service and GPU that is asked about.

    Args:
        session: of the command.
        paths: specs, or None.
        model: in place of specs.
        gpus: by name; they replace those of specs.
        gpu_memory: with a unit; replaces that of the GPUs' facts.
        engine: arguments under vLLM's names that replace those of specs; None is not given.

    Raises:
        UsageError: no GPU is named, or an option is not what vLLM takes.
        SpecError: specs with problems.
        CannotModel: a model or GPU without facts.
        ObserveError: no GPU is named, and those here cannot be looked at.
    """
    if model and paths:
        raise UsageError("specs and --model do not go together", hint="leave one out")
    given = {name: value for name, value in engine.items() if value is not None}
    services = (
        [_service_of(model, given)] if model else [_changed(s, given) for s in load_services(paths, session)]
    )
    return [
        asked for service in services for asked in asked_of(session, service, gpus, gpu_memory, named=not model)
    ]


def asked_of(
    session: Session, service: Service, gpus: Sequence[str] | None, gpu_memory: str | None, *, named: bool
) -> list[Asked]:
    """Return an engine for every GPU that is asked about of one service; as `setups`, which see."""
    from enova.cli.knowledge import model_of
    from enova.core.engine.service_setup import setup_of_service

    cards = _gpu_cards(session, service, gpus, gpu_memory)
    model = model_of(service)
    return [Asked(service, setup_of_service(service, model, gpu), named=named) for gpu in cards]


def _gpu_cards(
    session: Session, service: Service, named: Sequence[str] | None, memory: str | None
) -> list[GpuCard]:
    from dataclasses import replace

    from enova.adapters.facts import gpu_card
    from enova.core.spec.fault import Fault
    from enova.core.spec.units import ByteSize

    on_cpu = service.placement.accelerator == "cpu"
    names = list(named or (["cpu"] if on_cpu else service.placement.gpu_types))
    cards = [gpu_card(name, session.settings.prices) for name in names] or _gpus_here(session)
    if not cards:
        raise UsageError(
            f"{service.name}: which GPU? There is none here",
            hint="name one with --gpu or in placement.gpu_types; see `enova gpus`",
        )
    if memory is None:
        return cards
    try:
        size = ByteSize.parse(memory)
    except Fault as fault:
        raise UsageError(f"--gpu-memory: {fault.message}", hint=fault.hint) from None
    return [replace(card, memory_bytes=int(size)) for card in cards]


def _gpus_here(session: Session) -> list[GpuCard]:
    """One card for each kind of GPU this host has."""
    from enova.adapters.facts import gpu_card
    from enova.core.observed import Unknown

    seen = session.world().gpus()
    if isinstance(seen, Unknown):
        raise ObserveError(f"which GPU? {seen.reason}", hint="name one with --gpu or in placement.gpu_types")
    names = dict.fromkeys(gpu.name for gpu in seen)
    return [gpu_card(name, session.settings.prices) for name in names]


def _service_of(model: str, engine: Mapping[str, object]) -> Service:
    return _checked({"metadata": {"name": "model"}, "model": model, "engine": dict(engine)})


def _changed(service: Service, engine: Mapping[str, object]) -> Service:
    if not engine:
        return service
    written = service.model_dump(by_alias=True, exclude_unset=True)
    return _checked(written | {"engine": written.get("engine", {}) | dict(engine)})


def _checked(data: object) -> Service:
    from enova.core.spec.check import check

    service, findings = check(data, resolve=lambda path: path)
    if service is None:
        wrong = "; ".join(f"{finding.loc[-1]} {finding.message}" for finding in findings if finding.loc)
        hints = [finding.hint for finding in findings if finding.hint]
        raise UsageError(wrong, hint=hints[0] if hints else None)
    return service
