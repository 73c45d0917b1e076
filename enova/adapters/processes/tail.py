"""The end of a log file, read from its end, and what is added to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

BLOCK_BYTES = 64 * 1024
POLL_S = 0.2


def lines(path: Path, *, tail: int | None, more: Callable[[], bool] | None) -> Iterator[str]:
    """Yield the last `tail` lines, then new ones for as long as `more` says that there can be some."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        if tail is not None:
            file.seek(_start_of_last(file, tail))
        rest = b""
        while True:
            going_on = more is not None and more()  # asked before reading: what was written last is still read
            while block := file.read(BLOCK_BYTES):
                *whole, rest = (rest + block).split(b"\n")
                yield from map(_text, whole)
            if not going_on:
                break
            time.sleep(POLL_S)
        if rest:
            yield _text(rest)


def _start_of_last(file: BinaryIO, count: int) -> int:
    """Return where the last `count` lines begin, having read not much more than them."""
    position = end = file.seek(0, os.SEEK_END)
    if count <= 0:
        return end
    # The newline that ends the last line does not begin another one.
    wanted = count
    while position > 0:
        size = min(BLOCK_BYTES, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        if position + size == end and block.endswith(b"\n"):
            wanted += 1
        at = size
        while wanted and (at := block.rfind(b"\n", 0, at)) >= 0:
            wanted -= 1
        if not wanted:
            return position + at + 1
    return 0


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
