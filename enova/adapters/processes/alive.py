"""Who is alive: the holder of an instance's lock, and every process that descends from it."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "ENOVA_PROCESS"
"""Environment variable that says which instance a process belongs to. Children inherit it, so that workers left
behind by a dead engine are found even if they moved to a session of their own."""

POLL_S = 0.02

# struct flock: Linux begins with type and whence, macOS ends with them. "0q" pads to the alignment of the offsets.
_DARWIN = sys.platform == "darwin"
_FLOCK = "qqihh" if _DARWIN else "hhqqi0q"


def holder(lock: Path) -> int | None:
    """Return the pid that holds the lock, None if nobody does. Asking takes nothing and disturbs nobody."""
    try:
        file = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        asked = (0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET) if _DARWIN else (fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        told = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(_FLOCK, *asked)))
    finally:
        os.close(file)
    kind, pid = (told[3], told[2]) if _DARWIN else (told[0], told[4])
    return None if kind == fcntl.F_UNLCK else pid


def leader(lock: Path) -> psutil.Process | None:
    """Return the process that holds the lock, safe to signal: a pid used anew by another process is not it."""
    while (pid := holder(lock)) is not None and pid > 0:  # 0 is a holder in another container
        try:
            process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            continue
        # Held before and after its start time was read: both are about the same process.
        if holder(lock) == pid:
            return process
    return None


def members(mark: str) -> list[psutil.Process]:
    """Return all living processes that carry the mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's
    return found


def ask_to_end(lock: Path, timeout_s: float) -> None:
    """Send SIGTERM to the program alone, as Docker does, and wait.

    Its workers get nothing: an engine that drains needs them to the end.
    """
    process = leader(lock)
    if process is None:
        return
    _signal(process, signal.SIGTERM)
    _within(timeout_s, lambda: holder(lock) is None)


def end(lock: Path, mark: str, timeout_s: float) -> bool:
    """Kill the program, its process group and everything that carries its mark; return whether all are gone."""
    process = leader(lock)
    if process is not None:
        # The shim made it the leader of a group of its own before it took the lock.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def all_gone() -> bool:
        left = members(mark)
        for straggler in left:
            _signal(straggler, signal.SIGKILL)
        return not left and holder(lock) is None

    return _within(timeout_s, all_gone)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _within(timeout_s: float, condition: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True
