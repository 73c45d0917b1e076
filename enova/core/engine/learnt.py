"""A calibration in the form in which it is kept, and read again by whoever simulates the same engine."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from enova.core.engine.calibration import Calibration, StepCosts
from enova.core.engine.regression import Estimate
from enova.core.engine.step_time import Frontend
from enova.errors import UsageError

KIND: Final = "enova calibration"

Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]
COSTS = len(StepCosts._fields)


class Learnt(BaseModel):
    """What an engine's metrics taught. The form is versioned: what is there keeps its name and meaning."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["enova calibration"] = KIND
    schema_version: Literal[1] = 1
    source: str
    """The address it was read from."""
    taken_at: str
    seconds: Positive
    """How long it was looked at."""
    windows: int
    observations: int
    scatter: Positive
    """Relative standard deviation of one observation about the fit."""
    costs_s: dict[str, Positive]
    """Seconds, by the names of StepCosts."""
    covariance: tuple[tuple[Number, ...], ...]
    """Of the costs, in their order."""
    outside_s: Positive | None
    """What a request spends outside the scheduler; null: unknown."""
    unknown: tuple[str, ...] = ()
    """Metrics that would have helped, and were not offered."""

    @property
    def calibration(self) -> Calibration:
        """Return the costs and how sure they are."""
        values = np.array([self.costs_s[name] for name in StepCosts._fields])
        return Calibration(Estimate(values, np.array(self.covariance), self.scatter, self.observations))

    @property
    def frontend(self) -> Frontend | None:
        """Return what requests spend outside the scheduler, if that is known."""
        return None if self.outside_s is None else Frontend(self.outside_s, 0.0, 0.0)


def learnt_in(text: str, file: str) -> Learnt:
    """Return the calibration a file holds; raise UsageError, naming the file, if it is none."""
    try:
        learnt = Learnt.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{file} is no calibration: {where + ': ' if where else ''}{first['msg']}",
            hint="make one with `enova calibrate`",
        ) from error
    whole = len(learnt.covariance) == COSTS and all(len(row) == COSTS for row in learnt.covariance)
    if set(learnt.costs_s) != set(StepCosts._fields) or not whole:
        raise UsageError(
            f"{file} is no calibration: its costs are not {', '.join(StepCosts._fields)}",
            hint="make one with `enova calibrate`",
        )
    return learnt
