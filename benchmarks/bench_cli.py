"""Measure how long the help of every command takes, as a user waits for it: a whole new process each time.

    uv run python benchmarks/bench_cli.py [TIMES]

Prints the fastest and the median of TIMES runs (default 10), and which heavy modules were imported on the way.
The goal is under 0.3 s each.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = ["", "init", "validate", "schema", "plan", "apply", "status", "logs", "delete", "version"]
HEAVY = {"docker", "httpx", "pydantic", "ruamel", "rich", "starlette", "enova.core.spec", "enova.adapters"}


def main(times: int) -> None:
    """Print one line for each command."""
    for command in COMMANDS:
        arguments = [sys.executable, "-m", "enova", *command.split(), "--help"]
        taken_s = sorted(_run(arguments) for _ in range(times))
        print(
            f"{command or '(none)':10} fastest {taken_s[0]:.3f} s, median {statistics.median(taken_s):.3f} s, "
            f"imports {', '.join(_heavy(arguments)) or 'nothing heavy'}"
        )


def _run(arguments: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def _heavy(arguments: list[str]) -> list[str]:
    program, *rest = arguments
    shown = subprocess.run([program, "-X", "importtime", *rest], check=True, capture_output=True, text=True)
    imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    return sorted(HEAVY & imported)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
