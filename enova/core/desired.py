"""What should run for one service, ready to be compared with what does."""

from __future__ import annotations

from dataclasses import dataclass, field

from enova.core.launch import Launch
from enova.core.plan import Note
from enova.core.rollout import RolloutPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """One service as it should be: a gateway and `replicas` copies of one replica launch."""

    service: str
    gateway: Launch
    replica: Launch
    replicas: int
    rollout: RolloutPolicy = field(default_factory=RolloutPolicy)
    suspended: bool = False
    """Leave everything of this service as it is."""
    gpu_types: tuple[str, ...] = ()
    device_ids: tuple[str, ...] = ()
    """GPUs the user pinned, by index or UUID; empty means any."""
    max_gpus: int | None = None
    """The budget's limit on GPUs held by this service."""
    notes: tuple[Note, ...] = ()
