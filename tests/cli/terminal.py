"""A user at a terminal, or a pipe, in front of a machine that exists in memory only."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from enova.cli.app import run
from enova.cli.session import Session
from enova.settings import Settings
from enova.testing import MemoryHost, memory_world
from enova.world import World
from tests.staging import gpus

NOW = 1_800_000_000.0


class Stream(io.StringIO):
    """Text that may call itself a terminal."""

    def __init__(self, text: str = "", *, terminal: bool = False) -> None:
        super().__init__(text)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@dataclass(frozen=True)
class Outcome:
    """What one command left: its exit code and its two streams."""

    code: int
    out: str
    err: str


@dataclass
class Machine:
    """Runs command lines in a folder of its own, on a host in memory."""

    folder: Path
    host: MemoryHost = field(default_factory=lambda: MemoryHost(gpus=gpus(8)))
    world: World | None = None
    prices: Path | None = None
    inventory: Path | None = None
    monotonic: Callable[[], float] = time.monotonic
    environment: dict[str, str] = field(default_factory=lambda: {"TERM": "xterm", "COLUMNS": "120"})

    def enova(self, *arguments: str, stdin: str = "", terminal: bool = False) -> Outcome:
        """Run one command line to its end."""
        out, err = Stream(terminal=terminal), Stream(terminal=terminal)
        session = Session(
            settings=Settings(state_dir=self.folder / "state", prices=self.prices, inventory=self.inventory),
            open_world=lambda _: self.world or memory_world(self.host),
            environment=self.environment,
            now=lambda: NOW,
            monotonic=self.monotonic,
            stdin=Stream(stdin, terminal=terminal),
            stdout=out,
            stderr=err,
        )
        code = run(arguments, session)
        return Outcome(code, out.getvalue(), err.getvalue())

    def write(self, name: str, text: str) -> str:
        """Write a file and return its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    def spec(self, name: str = "chat", path: str | None = None, **lines: str) -> str:
        """Write a service of two replicas and return its file's name. `lines` are further sections."""
        sections: Mapping[str, str] = {"scaling": "{min: 2}"} | lines
        text = f"metadata: {{name: {name}}}\nmodel: org/model\n"
        text += "".join(f"{key}: {value}\n" for key, value in sections.items())
        return self.write(path or f"{name}.yaml", text)
