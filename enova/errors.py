"""Every exception Enova raises on purpose.

EnovaError
├── SpecError        what the user wrote is wrong; carries every problem at once
│   ├── MeasurementError  the same of measured data
│   ├── RecordingError    the same of traces and datasets
│   └── InventoryError    the same of a declared inventory
├── UsageError       the command was called in a way that cannot work
├── LockError        a lock file cannot be used, or does not fit the specs
├── CannotModel      there are no facts for a GPU or a model, or its architecture is not understood
├── PlanRefused      the plan is unsafe, or the world moved since it was made
├── ObserveError     could not look; nothing may be concluded from it      (retryable)
└── ApplyError       one or more actions failed                            (retryable)
    ├── NotServing   what was started does not serve
    └── Interrupted  an action was stopped on request before it was done   (retryable)

Retryability and the exit code are class attributes, so that no loop has to ask what kind it caught.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class EnovaError(Exception):
    """Base of all expected failures. `hint` says what to do next."""

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong in a spec file. Lines and columns count from 1; 0 means the file as a whole."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        key = f"{self.path}: " if self.path else ""
        hint = f" (hint: {self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {key}{self.message}{hint}"


class SpecError(EnovaError):
    """What the user wrote cannot be used; `problems` lists all of it, sorted by place."""

    what: ClassVar[str] = "the specs"
    """What there is something wrong with."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column, p.path, p.message)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class MeasurementError(SpecError):
    """Measured data cannot be read, for all the reasons listed."""

    what = "the measurements"


class RecordingError(SpecError):
    """Recorded traffic cannot be read, for all the reasons listed."""

    what = "the recorded traffic"


class InventoryError(SpecError):
    """A declared inventory cannot be used, for all the reasons listed."""

    what = "the inventory"


class UsageError(EnovaError):
    """The command line asks for something that cannot be done. Exits 64 (EX_USAGE), never 2."""

    exit_code = 64


class LockError(EnovaError):
    """A lock file is damaged, or was to hold and does not fit the specs any more."""


class CannotModel(EnovaError):
    """Nothing can be predicted: a GPU or model without facts, or an architecture that is not understood."""


class PlanRefused(EnovaError):
    """The plan must not be applied as it stands."""


class ObserveError(EnovaError):
    """Could not look at part of the world: Unknown, which is not the same as absent."""

    retryable = True


class ApplyError(EnovaError):
    """One or more actions failed; running apply again plans anew from what is there."""

    retryable = True


class NotServing(ApplyError):
    """What was started ends, never becomes ready or generates nothing: the same again would come to the same."""

    retryable = False


class Interrupted(ApplyError):
    """The user asked to stop; nothing is wrong."""
