"""What choosing and forecasting rest on, in one value, so that tests can put other knowledge in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from enova.core.engine.curves import Curves
from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.learnt import Learnt
from enova.core.engine.model_card import ModelCard
from enova.core.inventory import Inventory
from enova.core.observed import Observed, Unknown
from enova.core.simulate.results import ModelError
from enova.core.spec import Service
from enova.core.workload.recording import Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """Facts, and what was measured. Nothing is read until it is asked for."""

    model: Callable[[Service, bool], ModelCard]
    """With whether the network may be asked. Raises CannotModel for what is found nowhere or not understood."""
    gpus: Callable[[], tuple[GpuCard, ...]]
    """All there are facts for, with the prices of this installation."""
    inventory: Callable[[Observed], Inventory | Unknown]
    """What there is to run on: as declared, or as it was observed."""
    recording: Callable[[str], Recording]
    """Traffic in a file. Raises RecordingError."""
    learnt: Callable[[str], Learnt]
    """A calibration in a file. Raises UsageError."""
    digest: Callable[[str], str]
    """Of a file's content, or of the config of a model in a folder; empty for what is not there."""
    curves: Callable[[], Curves]
    error: ModelError
    """How wrong forecasts are where nothing was measured of the service itself."""
    learnt_error: Callable[[str, str], ModelError | None]
    """How wrong they are of a service, by name, with replicas of a fingerprint; None: too little was measured."""


def recordings(knowledge: Knowledge, files: tuple[str, ...]) -> Mapping[str, Recording]:
    """Return the recordings in these files, by path."""
    return {file: knowledge.recording(file) for file in files}
