"""Forecasts before and after a plan: what is to be comes with the advice, what runs now is simulated here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from enova.advise import Advice, Adviser
from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.gpu_facts import find_gpu
from enova.core.engine.service_setup import setup_of_service
from enova.core.engine.start_up import EMULATED_S, start_up_s
from enova.core.fingerprint import fingerprint
from enova.core.forecast import Forecast
from enova.core.inventory import HERE, Pool
from enova.core.launch import Role
from enova.core.launches import replica_launch
from enova.core.observed import Instance, Look, Observed, State, Unknown
from enova.core.outlook import Outlook, interruptions_of, rollout_s_of
from enova.core.plan import Action, Plan
from enova.core.recommend.expect import expect
from enova.core.recommend.question import Question
from enova.core.recommend.shape import Shape, shape_with
from enova.core.resolve import Resolved
from enova.core.simulate.results import ModelError
from enova.core.spec import Service
from enova.core.spec.arguments import JSON_ARGUMENTS, EngineArguments
from enova.core.spec.check import check
from enova.errors import CannotModel, EnovaError


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What runs of a service, as it can be simulated."""

    service: Service
    """The spec that leads to it."""
    question: Question
    shape: Shape
    replicas: int
    learnt: ModelError | None
    """How wrong forecasts of this very service were, in place of what is known of all."""


def outlooks(
    resolved: Sequence[Resolved], advice: Mapping[str, Advice], adviser: Adviser, observed: Observed, plan: Plan
) -> tuple[Outlook, ...]:
    """Return the outlook of every service that was advised on, by name."""
    return tuple(
        _outlook(one, advice[one.service.name], adviser, observed, plan)
        for one in sorted(resolved, key=lambda one: one.service.name)
        if one.service.name in advice and advice[one.service.name].entry is not None
    )


def _outlook(resolved: Resolved, advice: Advice, adviser: Adviser, observed: Observed, plan: Plan) -> Outlook:
    name, entry = resolved.service.name, advice.entry
    assert entry is not None  # noqa: S101 - who calls this looked
    actions = [action for action in plan.actions if action.service == name]
    running = _replicas(observed, name)
    found = Outlook(
        service=name,
        after=entry.forecast,
        fresh=advice.fresh,
        fingerprint=fingerprint(replica_launch(resolved)),
        pins=entry.pins,
        max_tokens=entry.max_tokens,
        interruptions=interruptions_of(actions),
    )
    if entry.forecast is None:
        return found
    found = replace(found, rate=adviser.peak(resolved.written))
    if actions:
        found = replace(found, rollout_s=_rollout_s(resolved, adviser, actions))
    if len(running) == entry.forecast.replicas and all(one.fingerprint == found.fingerprint for one in running):
        return replace(found, now=entry.forecast)
    now, words = _now(resolved, adviser, observed)
    return replace(found, now=now, now_words=words)


def _rollout_s(resolved: Resolved, adviser: Adviser, actions: Sequence[Action]) -> float | None:
    wait_s = start_up_of(resolved, adviser)
    return None if wait_s is None else rollout_s_of(actions, wait_s)


def start_up_of(resolved: Resolved, adviser: Adviser) -> float | None:
    """Return about how many seconds a replica takes until it serves; None: there are no facts to tell it by."""
    if resolved.service.engine.kind == "emulated":
        return EMULATED_S
    try:
        model = adviser.model(resolved.written)
        return start_up_s(setup_of_service(resolved.service, model, _wanted_gpu(resolved, adviser)))
    except CannotModel:
        return None


def _wanted_gpu(resolved: Resolved, adviser: Adviser) -> GpuCard:
    if resolved.gpu is not None:
        return find_gpu(adviser.knowledge.gpus(), resolved.gpu)
    inventory = adviser.room.of(resolved.written)
    if isinstance(inventory, Unknown) or not inventory.pools:
        raise CannotModel("it is not known what it runs on")
    return inventory.pools[0].gpu


def running_of(resolved: Resolved, adviser: Adviser, observed: Observed) -> Running | str:
    """Return what runs of a service as it can be simulated; or in words why that cannot be told."""
    look = observed.runtimes.get(resolved.runtime)
    if not isinstance(look, Look):
        return "could not look"
    running = _replicas(observed, resolved.service.name)
    if not running:
        return "nothing runs"
    if len({one.fingerprint for one in running}) > 1:
        return "replicas differ, a change is under way"
    try:
        service = _service_of(resolved.written, running[0])
        question = adviser.question(service)
        gpu = _gpu_of(running[0], observed, adviser) or _wanted_gpu(resolved, adviser)
        pool = Pool(gpu=gpu, per_host=max(1, len(running[0].devices)), source=HERE)
        learnt = adviser.knowledge.learnt_error(service.name, running[0].fingerprint)
        return Running(
            service=service,
            question=question,
            shape=shape_with(question, pool, {}),
            replicas=len(running),
            learnt=learnt,
        )
    except (EnovaError, KeyError) as error:
        return f"cannot be told: {error}"


def _now(resolved: Resolved, adviser: Adviser, observed: Observed) -> tuple[Forecast | None, str]:
    """Return what users see of what runs now, under the traffic that is stated now; or why that cannot be told."""
    running = running_of(resolved, adviser, observed)
    if isinstance(running, str):
        return None, running
    try:
        found = expect(running.question, running.shape, running.replicas, running.service, running.learnt)
    except (EnovaError, KeyError) as error:
        return None, f"cannot be told: {error}"
    return found, ""


def _replicas(observed: Observed, service_name: str) -> list[Instance]:
    return [
        one
        for one in observed.instances()
        if one.service == service_name and one.role is Role.REPLICA and one.state is State.RUNNING
    ]


def _gpu_of(instance: Instance, observed: Observed, adviser: Adviser) -> GpuCard | None:
    gpus = () if isinstance(observed.gpus, Unknown) else observed.gpus
    name = next((gpu.name for gpu in gpus if instance.devices and gpu.id == instance.devices[0]), None)
    return None if name is None else find_gpu(adviser.knowledge.gpus(), name)


def _service_of(written: Service, instance: Instance) -> Service:
    """Return the spec that leads to what an instance was started with; all else is as it is written now."""
    engine: dict[str, Any] = {"kind": instance.settings.get("engine.kind", "vllm")}
    extra: dict[str, Any] = {}
    for field, value in instance.settings.items():
        section, _, name = field.partition(".")
        if section != "engine" or "." in name or name in _NOT_ARGUMENTS:
            continue
        (engine if name in EngineArguments.model_fields else extra)[name] = _read(name, value)
    data = written.model_dump(mode="json", by_alias=True, exclude_unset=True) | {
        "engine": engine | ({"extra_args": extra} if extra else {})
    }
    service, findings = check(data, resolve=lambda path: path)
    if service is None:
        raise CannotModel("; ".join(finding.message for finding in findings))
    return service


_NOT_ARGUMENTS = {
    *("kind", "image", "gpus", "shm_bytes"),
    # How a model is named and loaded changes nothing of its speed.
    *("served_model_name", "revision", "trust_remote_code", "enable_lora", "lora_modules", "tokenizer"),
}


def _read(name: str, value: Any) -> Any:
    return json.loads(value) if name in JSON_ARGUMENTS and isinstance(value, str) else value
