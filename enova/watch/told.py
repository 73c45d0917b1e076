"""What a daemon has said, so that it says a thing once, however often it sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Told:
    """Says words through `say`."""

    say: Callable[[str], None]
    _last: dict[str, str] = field(default_factory=dict)
    _standing: set[str] = field(default_factory=set)

    def once(self, about: str, words: str) -> bool:
        """Say it unless it was said last about the same; tell whether it was said."""
        if self._last.get(about) == words:
            return False
        self._last[about] = words
        self.say(words)
        return True

    def forget(self, about: str) -> None:
        """Have the same words said again when they come true again."""
        self._last.pop(about, None)

    def standing(self, words: Iterable[str]) -> None:
        """Say which of what is wrong now was not wrong before, and what no longer is."""
        now = dict.fromkeys(one for one in words if one)
        for one in now:
            if one not in self._standing:
                self.say(one)
        for one in sorted(self._standing - now.keys()):
            self.say(f"no longer: {one}")
        self._standing = set(now)
