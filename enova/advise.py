"""Choices and forecasts for services: from the lock where nothing changed, made anew where something did.

Asks for facts through Knowledge; what is decided is decided in enova.core.recommend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.gpu_facts import find_gpu
from enova.core.engine.model_card import ModelCard
from enova.core.fingerprint import fingerprint
from enova.core.forecast import Forecast
from enova.core.inventory import HERE, Inventory, Pool, inventory_of
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
from enova.core.workload.load import files_of, load_of
from enova.errors import CannotModel, LockError, SpecError, UsageError
from enova.knowledge import Knowledge, recordings

FOUND = frozenset({HERE, "placement.gpu_types", "CPU", "emulated"})
"""Sources of what is there without anybody having listed it: more of it is no reason to choose anew."""
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


@dataclass(slots=True, kw_only=True)
class Adviser:
    """Answers for one service after another; what is chosen for one is not there for the next."""

    knowledge: Knowledge
    observed: Observed
    wish: Wish
    _inventory: Inventory | Unknown | None = None
    _taken: dict[str, int] = field(default_factory=dict)

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
                self._take(service, entry)
                found[service.name] = Advice(service=service, entry=entry, notes=_unjudged(service, entry))
        if not self.wish.choose:
            return found
        if self.wish.locked:
            self._refuse_stale([service for service in ordered if service.name not in found])
        for service in ordered:
            if service.name not in found:
                advice = self._choose(service, digests[service.name])
                if advice.entry is not None:
                    self._take(service, advice.entry)
                found[service.name] = advice
        return found

    def model(self, service: Service) -> ModelCard:
        """Return the card of a service's model. Raises CannotModel for what is not known."""
        return self.knowledge.model(service, _asks(service))

    def question(self, service: Service) -> Question:
        """Return what is asked about a service. Raises CannotModel for what is not known."""
        evidence = Evidence(
            curves=self.knowledge.curves(),
            error=self.knowledge.error,
            learnt=self.knowledge.learnt(service.engine.calibration) if service.engine.calibration else None,
        )
        return Question(
            service=service,
            model=self.model(service),
            inventory=self._inventory_for(service),
            demand=self._demand(service),
            promises=promises_of(service.slo),
            evidence=evidence,
        )

    def _holds(self, service: Service, entry: Entry, inputs: str) -> bool:
        if entry.inputs != inputs:
            return False
        try:
            inventory = self.inventory_of(service)
        except CannotModel:
            return True
        # Where there is nothing to run on, as in CI, or nobody can tell, what was chosen elsewhere holds.
        if isinstance(inventory, Unknown) or not inventory.pools:
            return True
        if all(pool.source in FOUND for pool in inventory.pools):
            return _has_room(inventory, entry, _gpus_of(service, entry))
        return entry.inventory == inventory_digest(inventory)

    def _choose(self, service: Service, inputs: str) -> Advice:
        asked = _asks(service)
        if not _modelled(service):
            return Advice(service=service)
        try:
            inventory = self.inventory_of(service)
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
            outcome = recommend(question, rentable=self._rentable())
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
        injection, _ = with_assumed_lengths(service.injection)
        if injection.arrival is None:
            return None
        return peak_of(load_of(injection, recordings=recordings(self.knowledge, files_of(injection))))

    def _demand(self, service: Service) -> Demand | None:
        injection, _ = with_assumed_lengths(service.injection)
        if injection.arrival is None:
            return None
        load = load_of(injection, recordings=recordings(self.knowledge, files_of(injection)))
        return demand_of(load, injection.burst or BURST)

    def _everything(self) -> Inventory | Unknown:
        if self._inventory is None:
            self._inventory = self.knowledge.inventory(self.observed)
        return self._inventory

    def inventory_of(self, service: Service) -> Inventory | Unknown:
        """Return what there is for a service, whoever else is there."""
        if service.placement.accelerator == "cpu":
            return inventory_of([Pool(gpu=self._card("cpu"), per_host=1, hosts=None, source="CPU")])
        emulated = service.engine.extra_args.get("emulate_gpu")
        if service.engine.kind == "emulated":
            card = self._card(str(emulated))
            return inventory_of([Pool(gpu=card, per_host=card.gpus_per_host, hosts=None, source="emulated")])
        inventory = self._everything()
        if isinstance(inventory, Unknown):
            return inventory
        if not inventory.pools:
            named = [self._card(name) for name in service.placement.gpu_types]
            return inventory_of(
                Pool(gpu=card, per_host=card.gpus_per_host, hosts=None, source="placement.gpu_types")
                for card in named
            )
        meant = inventory.of_types(service.placement.gpu_types)
        return meant.on_devices(len(service.placement.devices)) if service.placement.devices else meant

    def _inventory_for(self, service: Service) -> Inventory:
        """Return what is left of it for this service."""
        inventory = self.inventory_of(service)
        if isinstance(inventory, Unknown):
            return Inventory()
        if service.placement.devices:
            # Whether others hold the very ones that are named is for the plan to see.
            return inventory
        taken = dict(self._taken)
        pools = []
        for pool in inventory.pools:
            here = min(taken.get(pool.gpu.name, 0), pool.gpus or 0)
            taken[pool.gpu.name] = taken.get(pool.gpu.name, 0) - here
            pools.append(pool.without(here))
        return inventory_of(pools)

    def _take(self, service: Service, entry: Entry) -> None:
        """Keep the GPUs of a service from the next ones."""
        gpu = entry.chosen.get(GPU)
        if isinstance(gpu, str):
            self._taken[gpu] = self._taken.get(gpu, 0) + _gpus_of(service, entry)

    def _card(self, name: str) -> GpuCard:
        return find_gpu(self.knowledge.gpus(), name)

    def _rentable(self) -> Inventory:
        return inventory_of(
            Pool(gpu=card, per_host=card.gpus_per_host, hosts=None, source="rentable")
            for card in self.knowledge.gpus()
            if card.price is not None and card.vendor != "cpu"
        )

    def _refuse_stale(self, services: Sequence[Service]) -> None:
        stale = [service.name for service in services if _modelled(service) and _asks(service)]
        if stale:
            raise LockError(
                f"the lock does not fit the specs: {', '.join(stale)}",
                hint="run `enova plan` without --locked, look at what it chooses, and commit enova.lock",
            )


def _gpus_of(service: Service, entry: Entry) -> int:
    resolved = resolve(service, entry.chosen)
    return resolved.replicas * resolved.service.gpus_per_replica


def _has_room(inventory: Inventory, entry: Entry, gpus: int) -> bool:
    """Tell whether what was chosen can run on what is there, however much more there may be."""
    gpu = entry.chosen.get(GPU)
    if gpu is None:
        return True
    rooms = [pool.gpus for pool in inventory.pools if pool.gpu.name == gpu]
    return any(room is None or room >= gpus for room in rooms)


def _asks(service: Service) -> bool:
    """Tell whether the user said something that only a forecast can answer."""
    asked = {"slo", "injection"} & service.model_fields_set
    return bool(asked) or service.budget.cost is not None


def _modelled(service: Service) -> bool:
    return service.engine.kind == "vllm" or "emulate_gpu" in service.engine.extra_args


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
