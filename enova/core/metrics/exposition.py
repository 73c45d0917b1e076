"""The text of a metrics page, read for what somebody wants of it, at the speed of looking up its lines.

The names and labels of a page hardly ever change from one look to the next, so what a line means is worked out
once and then found by the line without its value. On a page of vLLM it takes a thirtieth of a parser's time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_LINES = 60_000
"""Remembered: those of all replicas of some 50 services, in about 15 MB."""
LONGEST_LINE = 2_000
"""Remembered, in characters."""

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABELS = re.compile(r'[ \t]*\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\}')
_LABEL = re.compile(r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?:,|$)')
_REST = re.compile(r"[ \t]*([^ \t]+)[ \t]*(.*)$")
_TIME = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?[ \t]*(#.*)?$")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", '"': '"', "\\": "\\"}
_NEW = object()


class Reader(Generic[T]):
    """Reads pages that are alike. `wanted` are names as they stand in the text, `_bucket` and `_total` included.

    `meaning` says what a series of such a name is to the caller, by its name and labels; None: nothing.
    """

    def __init__(self, wanted: frozenset[str], meaning: Callable[[str, Mapping[str, str]], T | None]) -> None:
        self._wanted = wanted
        self._meaning = meaning
        self._known: dict[str, object] = {}

    def read(self, page: str) -> Iterator[tuple[T, float]]:
        """Yield what the lines with wanted names mean, and their values, which may be any float.

        A line with a wanted name that is no sample is a ValueError, any other line is nothing.
        """
        known = self._known
        for line in page.split("\n"):
            head, _, value = line.rpartition(" ")
            meaning = known.get(head, _NEW)
            if meaning is None:
                continue
            if meaning is _NEW:
                sample = self._sample(line, head)
                if sample is not None:
                    yield sample
            else:
                yield meaning, _number(value, line)  # type: ignore[misc]  # it is what `_sample` put there

    def _sample(self, line: str, head: str) -> tuple[T, float] | None:
        """Read a line that was not met before, and remember what it means without its value."""
        named = _NAME.match(line)
        if named is None or named[0] not in self._wanted:
            if line.startswith("#") or (named and head):
                self._remember(head, None)
            return None
        at = named.end()
        braces = _LABELS.match(line, at)
        at = braces.end() if braces else at
        rest = _REST.match(line, at)
        labels = _labels(braces[1] if braces else "")
        if rest is None or labels is None or (rest[2] and not _trails(rest[2])):
            raise ValueError(f"no sample: {line[:200]!r}")
        meaning = self._meaning(named[0], labels)
        # What a timestamp or an exemplar follows differs every time.
        if not rest[2] and head == line[:at]:
            self._remember(head, meaning)
        return None if meaning is None else (meaning, _number(rest[1], line))

    def _remember(self, head: str, meaning: T | None) -> None:
        if len(head) > LONGEST_LINE:
            return
        if len(self._known) >= MOST_LINES:
            # Somebody sends ever new lines. The others are learnt again at once.
            self._known.clear()
        self._known[head] = meaning


def _number(text: str, line: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"no number: {line[:200]!r}") from None


def _trails(rest: str) -> bool:
    """Tell whether what follows a value is a timestamp, an exemplar, or both."""
    return rest.startswith("#") or rest == "\r" or _TIME.match(rest) is not None


def _labels(inside: str) -> dict[str, str] | None:
    """Return the labels between braces; None: they are none."""
    found: dict[str, str] = {}
    at = 0
    while at < len(inside) and inside[at:].strip(" \t"):
        label = _LABEL.match(inside, at)
        if label is None:
            return None
        found[label[1]] = _ESCAPE.sub(_unescaped, label[2]) if "\\" in label[2] else label[2]
        at = label.end()
    return found


def _unescaped(escape: re.Match[str]) -> str:
    return _ESCAPED.get(escape[1], escape[0])
