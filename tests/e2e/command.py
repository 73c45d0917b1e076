"""Run `enova` as a user does: in a process of its own, on spec files, reading what it prints."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIMIT_S = 300.0


@dataclass(slots=True)
class Enova:
    """The command line with a state folder and an environment of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    """Services to delete when the test is over."""

    def __call__(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.argv(words),
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.env(),
            timeout=LIMIT_S,
            check=False,
        )

    def ok(self, *words: str, stdin: str = "") -> str:
        """Run it and return what it printed; it has to exit with 0."""
        done = self(*words, stdin=stdin)
        assert done.returncode == 0, f"{words} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def killed(self, *words: str, after_s: float) -> int:
        """Start it, SIGKILL it after a while, and return its exit code (-9 if it was still at work)."""
        process = subprocess.Popen(
            self.argv(words),
            cwd=self.folder,
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return process.wait()

    def instances(self, service: str) -> list[dict[str, Any]]:
        """Return what `status` tells of a service's gateway and replicas."""
        found: list[dict[str, Any]] = self.service(service)["instances"]
        return found

    def service(self, name: str) -> dict[str, Any]:
        """Return what `status` tells of one service."""
        services = json.loads(self("status", "-o", "json").stdout)["services"]
        found: list[dict[str, Any]] = [service for service in services if service["name"] == name]
        assert len(found) == 1, f"{name} in {services}"
        return found[0]

    def argv(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "enova", *words]

    def env(self) -> dict[str, str]:
        # Started over and over, it should find its bytecode, as it does where it is installed.
        mine = {"ENOVA_STATE_DIR": str(self.folder / "state"), "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": ""}
        return os.environ | mine | self.environment

    def spec(self, text: str, name: str = "spec.yaml") -> str:
        """Write a spec file and return its path."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)


def free_port() -> int:
    """Return a loopback port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(check: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Return once `check` holds."""
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(0.1)
