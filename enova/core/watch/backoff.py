"""How long to leave a service alone after attempts on it failed."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_S = 5.0
LONGEST_S = 300.0


def pause_s(failures: int) -> float:
    """Return the pause after so many failures in a row: it doubles, up to five minutes."""
    return min(LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 16)) if failures > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Failed:
    spec: str
    count: int
    until_s: float
    words: str


@dataclass(slots=True)
class Backoff:
    """The failures in a row of each service. Times are seconds of a clock that does not jump."""

    _failed: dict[str, _Failed] = field(default_factory=dict)

    def failed(self, service: str, spec: str, words: str, at_s: float) -> None:
        """Take in a failure of a spec, by its digest, whatever was chosen for it."""
        before = self._failed.get(service)
        count = before.count + 1 if before and before.spec == spec else 1
        self._failed[service] = _Failed(spec, count, at_s + pause_s(count), words)

    def over(self, service: str) -> None:
        """Take in that nothing is wrong any more."""
        self._failed.pop(service, None)

    def waits(self, service: str, spec: str, at_s: float) -> str:
        """Return why a spec is not to be tried yet; empty if it may be. Another spec may be tried at once."""
        found = self._failed.get(service)
        if found is None or found.spec != spec or at_s >= found.until_s:
            return ""
        return f"again in {found.until_s - at_s:.0f} s, after {found.count} failed: {found.words}"
