"""Knowledge that tests start from: packaged facts, GPUs that are there, files that exist in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from enova.adapters.curves import measured_curves
from enova.adapters.facts import gpu_cards
from enova.adapters.model_error import measured_error
from enova.core.engine.learnt import Learnt
from enova.core.engine.model_card import ModelCard
from enova.core.inventory import Inventory, inventory_here
from enova.core.observed import Observed, Unknown
from enova.core.spec import Service
from enova.core.workload.recording import Recording
from enova.errors import CannotModel, RecordingError, UsageError
from enova.facts.reading import known_models
from enova.knowledge import Knowledge


@dataclass
class Known:
    """Makes Knowledge, and remembers what was asked of it."""

    inventory: Inventory | Unknown | None = None
    """None: the GPUs that were observed."""
    recordings: Mapping[str, Recording] = field(default_factory=dict)
    learnt: Mapping[str, Learnt] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)
    """Digests of files."""
    asked: list[tuple[str, bool]] = field(default_factory=list)
    """Models that were asked for, and whether the network may be asked: one for every search or simulation."""

    def knowledge(self) -> Knowledge:
        """Return it as it is now."""
        return Knowledge(
            model=self._model,
            gpus=gpu_cards,
            inventory=self._inventory,
            recording=lambda file: self.recordings.get(file) or _missing(file),
            learnt=lambda file: self.learnt.get(file) or _unreadable(file),
            digest=lambda file: self.contents.get(file, ""),
            curves=measured_curves,
            error=measured_error(),
            learnt_error=lambda service, fingerprint: None,
        )

    def _model(self, service: Service, may_ask: bool) -> ModelCard:
        self.asked.append((service.model.id, may_ask))
        found = known_models().find(service.model.id)
        if found is None:
            raise CannotModel(f"no model {service.model.id} was found", hint="look again")
        return found

    def _inventory(self, observed: Observed) -> Inventory | Unknown:
        if self.inventory is not None:
            return self.inventory
        unseen = next((look for look in observed.runtimes.values() if isinstance(look, Unknown)), None)
        if unseen is not None or isinstance(observed.gpus, Unknown):
            return unseen or observed.gpus  # type: ignore[return-value]
        return inventory_here(observed.gpus, gpu_cards(), observed.instances())


def _missing(file: str) -> NoReturn:
    raise RecordingError([])


def _unreadable(file: str) -> NoReturn:
    raise UsageError(f"{file} cannot be read")
