"""A container's log, which comes in frames of bytes, as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def lines(frames: Iterable[bytes]) -> Iterator[str]:
    """Yield whole lines without their ends. A frame may hold part of a line, and half a character."""
    rest = b""
    for frame in frames:
        *whole, rest = (rest + frame).split(b"\n")
        yield from (_text(line) for line in whole)
    if rest:
        yield _text(rest)


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
