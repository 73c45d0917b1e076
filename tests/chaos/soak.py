"""Keep many services for long while their specs change at random, and see whether the daemon stays as it was.

Usage: python -m tests.chaos.soak [--services 50] [--replicas 4] [--minutes 60] [--edit-every 10]

Prints, for every tenth of the time, the daemon's memory, open files and threads, and how long its looks took; then
whether all is in sync, and the second half beside the first. Exits with 1 if it is not.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.chaos.daemon import Chat, Watch, running, specs_folder
from tests.e2e.command import Enova, eventually, free_port

HEADINGS = f"{'MINUTE':>7} {'RSS MiB':>8} {'FILES':>6} {'THREADS':>8} {'LOOK s':>7} {'LOOKS':>6} {'EDITS':>6}"
SAMPLE_S = 10.0
UP_S = 900.0


def main() -> int:
    """Run the soak, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--services", type=int, default=50)
    parser.add_argument("--replicas", type=int, default=4, help="of each service, when it begins")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--edit-every", type=float, default=10, metavar="S")
    known = parser.parse_args()
    enova = Enova(Path(tempfile.mkdtemp(prefix="enova-soak-")))
    chats = [Chat(enova, f"soak-{number:02}") for number in range(known.services)]
    chance = random.Random(1)
    for chat in chats:
        chat.write(8, known.replicas)

    def edit() -> None:
        chance.choice(chats).write(chance.randrange(4, 64), chance.randrange(2, 7))

    port = free_port()
    with Watch(enova, str(specs_folder(enova)), "--interval", "30s", "--listen", f"127.0.0.1:{port}") as watch:
        try:
            wanted = known.services * (known.replicas + 1)
            eventually(lambda: running(enova).total() == wanted, within_s=UP_S, what=f"{wanted} instances run")
            samples = _soak(watch, port, known, edit)
            eventually(lambda: _in_sync(port), within_s=UP_S, what="all is in sync")
            print(f"in sync at the end: {running(enova).total()} instances run")
        finally:
            watch.end()
            enova("delete", *enova.started, "--yes")
    return _verdict(samples)


def _soak(
    watch: Watch, port: int, known: argparse.Namespace, edit: Callable[[], None]
) -> list[tuple[float, int, int, float]]:
    daemon = psutil.Process(watch.pid)
    samples: list[tuple[float, int, int, float]] = []
    print(HEADINGS, flush=True)
    began, edits, looks, took_s = time.monotonic(), 0, 0.0, 0.0
    next_edit = next_line = began
    while (now := time.monotonic()) < began + known.minutes * 60:
        if now >= next_edit:
            next_edit = now + known.edit_every
            edit()
            edits += 1
        time.sleep(min(SAMPLE_S, max(0.1, next_edit - time.monotonic())))
        made, total_s = _looks(port)
        if made > looks:
            samples.append(
                (
                    daemon.memory_info().rss / 2**20,
                    daemon.num_fds(),
                    daemon.num_threads(),
                    (total_s - took_s) / (made - looks),
                )
            )
            looks, took_s = made, total_s
        if samples and time.monotonic() >= next_line:
            next_line += known.minutes * 60 / 10
            rss, files, threads, look_s = samples[-1]
            minute = (time.monotonic() - began) / 60
            print(
                f"{minute:7.1f} {rss:8.1f} {files:6} {threads:8} {look_s:7.3f} {looks:6.0f} {edits:6}", flush=True
            )
    return samples


def _families(port: int) -> dict[str, float]:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30, trust_env=False).text
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if set(sample.labels) <= {"outcome"}
    }


def _looks(port: int) -> tuple[float, float]:
    """Return how many looks were made, and how long all of them took."""
    found = _families(port)
    return found["enova_watch_look_seconds_count"], found["enova_watch_look_seconds_sum"]


def _in_sync(port: int) -> bool:
    return _families(port)["enova_watch_in_sync"] == 1


def _verdict(samples: list[tuple[float, int, int, float]]) -> int:
    """Say how the second half is beside the first, by medians; memory and files must not grow by a tenth."""
    middle = len(samples) // 2
    grown = []
    for index, name in enumerate(("RSS MiB", "open files", "threads", "seconds a look")):
        first, second = (
            statistics.median(float(sample[index]) for sample in half)
            for half in (samples[:middle], samples[middle:])
        )
        grown.append(second / first if first else 1.0)
        print(f"{name}: {first:.3g} in the first half, {second:.3g} in the second: {grown[-1]:.2f} times")
    return 1 if max(grown[:2]) > 1.1 else 0


if __name__ == "__main__":
    sys.exit(main())
