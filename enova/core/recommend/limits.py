"""How many replicas of a shape there may be, and what says so."""

from __future__ import annotations

import math
from dataclasses import dataclass

from enova.core.recommend.shape import Shape
from enova.core.spec import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What bounds the search."""

    gpus: int | None
    """budget.gpus."""
    usd_per_h: float | None
    """budget.cost."""
    least: int
    """scaling.min."""
    most: int | None
    """scaling.max."""
    room: bool = True
    """Whether the inventory's room counts."""

    def replicas(self, shape: Shape) -> tuple[float, str]:
        """Return the most replicas of a shape there may be, inf without limit, and what says so."""
        bounds = [self.of(shape.gpus, shape.usd_per_h)]
        room = shape.pool.replicas(shape.gpus) if self.room and shape.gpus else None
        if room is not None:
            words = f"{shape.pool.source} has {shape.pool.gpus} x {shape.pool.gpu.name}"
            bounds.append((room, words))
        return min(bounds, key=lambda bound: bound[0])

    def of(self, gpus: int, usd_per_h: float | None) -> tuple[float, str]:
        """Return the same for replicas of so many GPUs at such a price (None: not known), whatever the room."""
        bounds: list[tuple[float, str]] = [(math.inf, "")]
        if self.most is not None:
            bounds.append((self.most, f"scaling.max is {self.most}"))
        if self.gpus is not None and gpus:
            bounds.append((self.gpus // gpus, f"budget.gpus is {self.gpus}"))
        if self.usd_per_h is not None and usd_per_h:
            words = f"budget.cost is {self.usd_per_h:g} USD/h"
            bounds.append((math.floor(self.usd_per_h / usd_per_h + 1e-9), words))
        return min(bounds, key=lambda bound: bound[0])


def allowed_of(service: Service) -> Allowed:
    """Return what a spec allows."""
    cost = service.budget.cost
    return Allowed(
        gpus=service.budget.gpus,
        usd_per_h=None if cost is None else float(cost),
        least=service.scaling.min,
        most=service.scaling.max,
    )
