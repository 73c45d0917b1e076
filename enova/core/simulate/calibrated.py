"""A replica whose steps take what its engine's metrics taught, as surely as these taught it."""

from __future__ import annotations

from dataclasses import replace

from enova.core.engine.learnt import Learnt
from enova.core.simulate.replica import ReplicaSetup
from enova.core.workload.sources import stream

DRAWS = 8
"""Sets of costs that may as well be the true ones: of so many the ends leave on average 8 % below and 8 % above.
Each is one more run of whatever asks for them (`Conditions.sensitivity`)."""


def calibrated(replica: ReplicaSetup, learnt: Learnt, *, seed: int = 0) -> ReplicaSetup:
    """Return a replica with the step times that were learnt, and with draws of them by their covariance."""
    calibration = learnt.calibration
    return replace(
        replica,
        step_time=calibration.step_time(),
        frontend=learnt.frontend or replica.frontend,
        draws=calibration.draws(stream(seed, "costs"), DRAWS),
    )
