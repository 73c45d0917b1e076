"""What a check says when something written is wrong: words for people, never the value of a secret."""

from __future__ import annotations

from collections.abc import Sequence


class Fault(ValueError):
    """One thing wrong. `path` leads from the section that was checked to the key at fault."""

    def __init__(self, message: str, *, hint: str | None = None, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = path


class Faults(ValueError):
    """Several things wrong in one section, found by one check."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)


def raise_all(faults: Sequence[Fault]) -> None:
    """Raise what was found, if anything was."""
    if faults:
        raise Faults(faults)
