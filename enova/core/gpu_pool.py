"""The GPUs one plan may still hand out; each is handed out once."""

from __future__ import annotations

from collections.abc import Sequence

from enova.core.desired import Desired
from enova.core.devices import free_gpus, take
from enova.core.launch import Launch
from enova.core.observed import Gpu, Instance, Unknown
from enova.core.plan import Note


class GpuPool:
    """Free GPUs while a plan is made. An unknown inventory gives nothing away."""

    def __init__(
        self, gpus: Sequence[Gpu] | Unknown, instances: Sequence[Instance], reserved: frozenset[str] = frozenset()
    ) -> None:
        self._gpus = gpus
        known = () if isinstance(gpus, Unknown) else tuple(gpus)
        self._by_id = {name: gpu for gpu in known for name in (gpu.id, str(gpu.index))}
        self._free = [gpu for gpu in free_gpus(known, instances) if gpu.id not in reserved]

    def take(self, count: int, desired: Desired, *, also: Sequence[str] = ()) -> tuple[str, ...] | None:
        """Hand out `count` GPUs the service may use, free ones or those in `also`; None if there are too few."""
        if count == 0:
            return ()
        free = [*(self._by_id[name] for name in also if name in self._by_id), *self._free]
        taken = take(free, count, allowed=desired.device_ids, types=desired.gpu_types)
        if taken is not None:
            self._free = [gpu for gpu in self._free if gpu.id not in taken]
        return taken

    def refusal(self, launches: Sequence[Launch], desired: Desired) -> Note:
        """Say why there was nothing to hand out to these replicas, of which there is at least one."""
        gpus = f"{launches[0].gpus} GPU{'s' if launches[0].gpus > 1 else ''}"
        wanted = f"{launches[0].target} needs {gpus}"
        if len(launches) > 1:
            wanted = f"{len(launches)} replicas ({launches[0].target} to {launches[-1].target}) need {gpus} each"
        if isinstance(self._gpus, Unknown):
            return Note(desired.service, f"{wanted}, but the GPUs could not be read: {self._gpus.reason}")
        if not self._gpus:
            hint = "with an image built for CPU, set `placement.accelerator: cpu`"
            return Note(desired.service, f"{wanted}, this host has none", hint)
        asked = [
            *(f"type {name}" for name in desired.gpu_types),
            *(f"device {name}" for name in desired.device_ids),
        ]
        limits = f" (of {', '.join(asked)})" if asked else ""
        message = f"{wanted}{limits}; {len(self._free)} of {len(self._gpus)} on this host are free"
        return Note(
            desired.service, message, "lower scaling.min or free a GPU; `enova status` shows who holds them"
        )
