"""Choices and forecasts for services: from the lock where nothing changed, made anew where something did.

Asks for facts through Knowledge; what is decided is decided in enova.core.recommend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from enova.core.engine.model_card import ModelCard
from enova.core.fingerprint import fingerprint
from enova.core.forecast import Forecast
from enova.core.launches import replica_launch
from enova.core.lockfile import Entry, Lock
from enova.core.observed import Observed, Unknown
from enova.core.plan import Note
from enova.core.recommend.demand import BURST, Demand, demand_of, peak_of, with_assumed_lengths
from enova.core.recommend.expect import expect
from enova.core.recommend.fields import GPU, REPLICAS, filled
from enova.core.recommend.inputs import inputs_digest, inventory_digest
from enova.core.recommend.question import Evidence, Question
from enova.core.recommend.recommend import recommend
from enova.core.recommend.recommendation import Infeasible, Outcome, Recommendation
from enova.core.resolve import resolve
from enova.core.simulate.promises import promises_of
from enova.core.spec import Service
from enova.core.spec.check import check
from enova.core.workload.load import Load, files_of, load_of
from enova.errors import CannotModel, LockError, SpecError, UsageError
from enova.knowledge import Knowledge, recordings
from enova.room import Room

EMULATED = "figures and prices are those of the GPU that is emulated; nothing is paid"
LOOSER = "loosen what is promised, or take what comes closest: --best-effort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What holds for one service."""

    service: Service
    entry: Entry | None = None
    """What is chosen and expected; None: nothing could be, and defaults hold."""
    fresh: bool = False
    """Whether it was chosen now, and is in no lock yet."""
    outcome: Outcome | None = None
    """The search, where one was made."""
    notes: tuple[Note, ...] = ()
    refusals: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How to choose."""

    refresh: bool = False
    """Choose anew, whatever the lock says."""
    locked: bool = False
    """The lock has to hold: nothing is chosen."""
    choose: bool = True
    """Else what the lock holds is taken as it is, and nothing is chosen beside it."""
    foresee: bool = True
    """Say what users see now, and what they will see."""
    best_effort: bool = False
    """Where promises cannot be kept, take what comes closest."""


def adviser_of(knowledge: Knowledge, observed: Observed, wish: Wish = Wish()) -> Adviser:
    """Return who advises on what was observed."""
    return Adviser(knowledge=knowledge, room=Room(knowledge=knowledge, observed=observed), wish=wish)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adviser:
    """Answers for one service after another; what is chosen for one is not there for the next."""

    knowledge: Knowledge
    room: Room
    wish: Wish

    def advise(self, services: Sequence[Service], lock: Lock) -> dict[str, Advice]:
        """Return the advice for each service, by name. The order they are given in makes no difference.

        Raises:
            LockError: with `locked`, for services whose lock is missing or out of date, all at once.
        """
        found: dict[str, Advice] = {}
        ordered = sorted(services, key=lambda service: service.name)
        digests = {service.name: inputs_digest(service, self.knowledge.digest) for service in ordered}
        for service in ordered:
            entry = lock.get(service.name)
            if entry is not None and not self.wish.choose:
                # A spec that has changed since may not go with what was chosen: that is no damage.
                if entry.inputs == digests[service.name] or not _misfit(service, entry):
                    _check(service, entry)
                    found[service.name] = Advice(service=service, entry=entry)
            elif (
                entry is not None and not self.wish.refresh and self._holds(service, entry, digests[service.name])
            ):
                _check(service, entry)
                self.room.take(service, entry.chosen)
                found[service.name] = Advice(service=service, entry=entry, notes=_unjudged(service, entry))
        if not self.wish.choose:
            return found
        if self.wish.locked:
            self._refuse_stale([service for service in ordered if service.name not in found])
        self.room.leave(digests.keys())
        # What asks for nothing takes what its defaults take: the others choose among the rest.
        for service in sorted(ordered, key=_asks):
            if service.name not in found:
                advice = self._choose(service, digests[service.name])
                before = lock.get(service.name)
                if advice.entry is None and not advice.refusals and before is not None:
                    advice = _as_before(advice, before)
                if not advice.refusals:
                    self.room.take(service, advice.entry.chosen if advice.entry else {})
                found[service.name] = advice
        return {service.name: found[service.name] for service in ordered}

    def model(self, service: Service) -> ModelCard:
        """Return the card of a service's model. Raises CannotModel for what is not known."""
        return self.knowledge.model(service, _asks(service))

    def question(self, service: Service) -> Question:
        """Return what is asked about a service. Raises CannotModel for what is not known."""
        evidence = Evidence(
            curves=self.knowledge.curves(),
            error=self.knowledge.error,
            learnt=self.knowledge.learnt(service.engine.calibration) if service.engine.calibration else None,
            speed=_speed(service),
        )
        return Question(
            service=service,
            model=self.model(service),
            inventory=self.room.left_for(service),
            demand=self._demand(service),
            promises=promises_of(service.slo),
            evidence=evidence,
        )

    def _holds(self, service: Service, entry: Entry, inputs: str) -> bool:
        if entry.inputs != inputs:
            return False
        try:
            return self.room.has(service, entry)
        except CannotModel:
            return True

    def _choose(self, service: Service, inputs: str) -> Advice:
        asked = _asks(service)
        if not _modelled(service):
            return Advice(service=service)
        try:
            inventory = self.room.of(service)
        except CannotModel as error:
            return Advice(service=service, notes=_not_chosen(service, error) if asked else ())
        if isinstance(inventory, Unknown) or not inventory.pools:
            if not asked:
                return Advice(service=service)
            reason = inventory.reason if isinstance(inventory, Unknown) else "no GPU is known to run it on"
            hint = "name kinds in placement.gpu_types, or give --inventory FILE"
            return Advice(service=service, notes=(Note(service.name, f"nothing is chosen: {reason}", hint),))
        try:
            question = self.question(service)
            outcome = recommend(question, rentable=self.room.rentable())
        except (SpecError, UsageError) as error:
            refusal = Note(service.name, f"nothing can be chosen: {error.message}", error.hint or "")
            return Advice(service=service, refusals=(refusal,))
        except CannotModel as error:
            return Advice(service=service, notes=_not_chosen(service, error) if asked else ())
        recommendation = outcome if isinstance(outcome, Recommendation) else None
        refusals: tuple[Note, ...] = ()
        if isinstance(outcome, Infeasible):
            recommendation = outcome.fallback if self.wish.best_effort else None
            refusals = () if recommendation else (_infeasible(service, outcome),)
        if recommendation is None:
            return Advice(service=service, outcome=outcome, refusals=refusals)
        if question.demand is None and not recommendation.chosen:
            # vLLM's defaults on the one kind of GPU there is: nothing to keep.
            return Advice(service=service, outcome=outcome, notes=_unjudged(service))
        entry = Entry(
            inputs=inputs,
            inventory=inventory_digest(inventory),
            chosen=recommendation.chosen,
            why=recommendation.why,
            pins={
                pin.field: f"{pin.value} costs {pin.usd_per_h:.2f} USD/h more than {pin.instead}"
                for pin in recommendation.pins
            },
            max_tokens=recommendation.max_tokens,
            forecast=self._forecast(question, recommendation),
        )
        return Advice(service=service, entry=entry, fresh=True, outcome=outcome, notes=_unjudged(service, entry))

    def _forecast(self, question: Question, recommendation: Recommendation) -> Forecast | None:
        resolved = resolve(question.service, recommendation.chosen)
        service = resolved.service
        learnt = self.knowledge.learnt_error(service.name, fingerprint(replica_launch(resolved)))
        forecast = expect(question, recommendation.shape, recommendation.replicas, service, learnt)
        if forecast is None:
            return None
        _, assumed = with_assumed_lengths(question.service.injection)
        emulated = (EMULATED,) if service.engine.kind == "emulated" else ()
        return replace(forecast, notes=(*forecast.notes, *emulated, *assumed))

    def peak(self, service: Service) -> float | None:
        """Return the requests/s that forecasts are of; None where users wait for answers, or nothing is stated."""
        load = self._load(service)
        return None if load is None else peak_of(load)

    def _demand(self, service: Service) -> Demand | None:
        load = self._load(service)
        return None if load is None else demand_of(load, load.injection.burst or BURST)

    def _load(self, service: Service) -> Load | None:
        injection, _ = with_assumed_lengths(service.injection)
        if injection.arrival is None:
            return None
        return load_of(injection, recordings=recordings(self.knowledge, files_of(injection)))

    def _refuse_stale(self, services: Sequence[Service]) -> None:
        stale = [service.name for service in services if _modelled(service) and _asks(service)]
        if stale:
            raise LockError(
                f"the lock does not fit the specs: {', '.join(stale)}",
                hint="run `enova plan` without --locked, look at what it chooses, and commit enova.lock",
            )


def _asks(service: Service) -> bool:
    """Tell whether the user said something that only a forecast can answer."""
    asked = {"slo", "injection"} & service.model_fields_set
    return bool(asked) or service.budget.cost is not None


def _modelled(service: Service) -> bool:
    return service.engine.kind == "vllm" or "emulate_gpu" in service.engine.extra_args


def _as_before(advice: Advice, before: Entry) -> Advice:
    """Return what was chosen before where nothing can be chosen now: what runs must not change for want of facts.

    Its forecast was of something else, and is not shown.
    """
    if not advice.notes or _misfit(advice.service, before):
        return advice
    kept = Note(advice.service.name, "what was chosen before stays in force, though the spec has changed since")
    return replace(advice, entry=replace(before, forecast=None), notes=(*advice.notes, kept))


def _speed(service: Service) -> float:
    """Return how many times faster than its GPU an emulated engine is asked to be."""
    speed = service.engine.extra_args.get("speed", 1.0)
    emulated = service.engine.kind == "emulated"
    return float(speed) if emulated and isinstance(speed, int | float) and speed > 0 else 1.0


def _unjudged(service: Service, entry: Entry | None = None) -> tuple[Note, ...]:
    if (entry is not None and entry.forecast is not None) or not promises_of(service.slo):
        return ()
    hint = "say what traffic comes, for example injection: {arrival: {process: poisson, rate: 4/s}}"
    return (Note(service.name, "promises are not judged: no traffic is stated", hint),)


def _not_chosen(service: Service, error: CannotModel) -> tuple[Note, ...]:
    return (Note(service.name, f"nothing is chosen: {error.message}", error.hint or ""),)


def _infeasible(service: Service, outcome: Infeasible) -> Note:
    ways = "; ".join(f"{near.field}: {near.value} ({near.words})" for near in outcome.nearest)
    message = f"infeasible: {outcome.binding}"
    return Note(service.name, message, f"any of these would do: {ways}" if ways else LOOSER)


def _check(service: Service, entry: Entry) -> None:
    """Refuse values that a spec could not have."""
    if words := _misfit(service, entry):
        raise LockError(
            f"enova.lock: services.{service.name}.chosen: {words}",
            hint="restore it from git, or `enova plan --refresh`",
        )


def _misfit(service: Service, entry: Entry) -> str:
    """Return which choices do not go with a spec, and why; empty: all do."""
    replicas, gpu = entry.chosen.get(REPLICAS, 1), entry.chosen.get(GPU, "")
    if type(replicas) is not int or replicas < 1:
        return f"replicas: {replicas}"
    if not isinstance(gpu, str):
        return f"gpu: {gpu}"
    used = filled(service, entry.chosen)
    data = used.model_dump(mode="json", by_alias=True, exclude_unset=True, warnings=False)
    _, findings = check(data, resolve=lambda path: path)
    return "; ".join(f"{'.'.join(map(str, finding.loc))}: {finding.message}" for finding in findings)
