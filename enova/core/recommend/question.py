"""All that a recommendation depends on. Equal questions get equal answers, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass, replace

from enova.core.engine.curves import Curves
from enova.core.engine.learnt import Learnt
from enova.core.engine.model_card import ModelCard
from enova.core.engine.roofline import frontend_of, step_time_of
from enova.core.engine.scaled import Scaled
from enova.core.engine.setup import EngineSetup
from enova.core.engine.step_time import Frontend
from enova.core.inventory import Inventory
from enova.core.recommend.demand import Demand
from enova.core.simulate.calibrated import calibrated
from enova.core.simulate.limits_of import limits_of
from enova.core.simulate.promises import Promise
from enova.core.simulate.replica import ReplicaSetup
from enova.core.simulate.results import ModelError
from enova.core.spec import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What forecasts rest on."""

    curves: Curves
    error: ModelError
    learnt: Learnt | None = None
    """Step times of this very engine; then nothing is chosen that would make it another one."""
    speed: float = 1.0
    """Times as fast as that everything is, where an emulated engine is asked to be."""

    def replica(self, setup: EngineSetup) -> ReplicaSetup:
        """Return a replica to be simulated. Raises KeyError where nothing was measured of its GPU's kind."""
        replica = self._replica(setup)
        if self.speed == 1:
            return replica
        frontend = Frontend(*(seconds / self.speed for seconds in replica.frontend))
        return replace(replica, step_time=Scaled(replica.step_time, 1 / self.speed), frontend=frontend)

    def _replica(self, setup: EngineSetup) -> ReplicaSetup:
        frontend = frontend_of(self.curves)
        if self.learnt is None:
            return ReplicaSetup(
                limits=limits_of(setup), step_time=step_time_of(setup, self.curves), frontend=frontend
            )
        # The step times of its GPU's kind are not asked for: there may be none, and they would not be used.
        step_time = self.learnt.calibration.step_time()
        return calibrated(
            ReplicaSetup(limits=limits_of(setup), step_time=step_time, frontend=frontend), self.learnt
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One service, and what there is to serve it with."""

    service: Service
    """As the user wrote it."""
    model: ModelCard
    inventory: Inventory
    """What this service may use of all there is."""
    demand: Demand | None
    """None: the spec does not say what traffic comes."""
    promises: tuple[Promise, ...]
    evidence: Evidence
