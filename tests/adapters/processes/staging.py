"""A stand-in for the vllm program, and a look at the machine's processes that asks nobody but the kernel."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil

from enova.adapters.processes.alive import MARK
from enova.core.launch import Kind, Launch, Role

REPLICA = Launch(service="chat", role=Role.REPLICA, runtime="process", kind=Kind.VLLM, model="org/model")

WAITS = "import time; print('up', flush=True); time.sleep(600)"
HAS_WORKERS = """
import signal, subprocess, sys, time
sleep = [sys.executable, "-S", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
subprocess.Popen(sleep)
subprocess.Popen(sleep, start_new_session=True)
print("up", flush=True)
time.sleep(600)
"""
IGNORES_SIGTERM = "import signal; signal.signal(15, signal.SIG_IGN)\n" + WAITS


def replica(slot: int = 0) -> Launch:
    return replace(REPLICA, slot=slot)


def install_vllm(folder: Path, code: str) -> None:
    """Put a program called vllm into a folder; it takes vllm's command line and runs the code."""
    program = folder / "vllm"
    program.write_text(f"#!{sys.executable} -S\n{code}\n", encoding="utf-8")
    program.chmod(0o755)


def alive_below(state_dir: Path) -> Counter[str]:
    """Return how many living processes each instance of a state folder has, by instance name."""
    found: Counter[str] = Counter()
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
            if Path(mark).is_relative_to(state_dir) and process.status() != psutil.STATUS_ZOMBIE:
                found[Path(mark).name] += 1
        except (psutil.Error, OSError):
            continue
    return found


def eventually(check: Callable[[], object], within_s: float = 20) -> None:
    deadline_s = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < deadline_s, f"still {found!r} after {within_s} s"
        time.sleep(0.01)
