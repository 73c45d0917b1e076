"""`enova watch` as a process of its own on a folder of specs, to be killed and looked at."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from enova.adapters.processes.alive import MARK
from tests.e2e.command import Enova, eventually, free_port

CONVERGED_S = 120.0
SPEC = """\
metadata: {{name: {name}}}
model: {{id: acme/tiny, served_names: [tiny]}}
engine: {{kind: emulated, max_num_seqs: {seqs}{more}}}
placement: {{runtime: {runtime}}}
scaling: {{min: {replicas}}}
gateway: {{port: {port}}}
rollout: {{settle: {settle}, ready_timeout: {ready}, drain_timeout: 5s, stop_timeout: 5s{canary}}}
"""


class Watch:
    """Runs from `with` to its end, unless it is killed before; it may be started again."""

    def __init__(self, enova: Enova, source: str, *options: str) -> None:
        self.enova, self.source = enova, source
        self._words = ("watch", source, "--interval", "1s", "--listen", "none", *options)
        self._process: subprocess.Popen[bytes] | None = None
        self._log = enova.folder / f"watch-{id(self)}.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.enova.argv(self._words),
                cwd=self.enova.folder,
                env=self.enova.env(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """SIGKILL it."""
        self._end(signal.SIGKILL)

    def end(self) -> int | None:
        """Ask it to end, wait, and return its exit code."""
        return self._end(signal.SIGTERM)

    def says(self, words: str, *, within_s: float = CONVERGED_S) -> None:
        """Wait until it has said something."""
        try:
            eventually(lambda: words in self.log, within_s=within_s, what=repr(words))
        except AssertionError as error:
            if self._process and self._process.poll() is None:
                self._process.send_signal(signal.SIGUSR1)
                time.sleep(1)
            raise AssertionError(f"{error}\n{self.log}") from error

    def converges(self, *, within_s: float = CONVERGED_S) -> None:
        """Wait until all is as the specs say."""
        eventually(
            lambda: self.enova("plan", self.source).returncode == 0, within_s=within_s, what=f"in sync\n{self.log}"
        )

    def _end(self, number: signal.Signals) -> int | None:
        if self._process is None:
            return None
        self._process.send_signal(number)
        code = self._process.wait(120)
        self._process = None
        return code


def specs_folder(enova: Enova) -> Path:
    """Return the folder of specs, made if it is not there."""
    folder = enova.folder / "specs"
    folder.mkdir(exist_ok=True)
    return folder


def put(path: Path, text: str) -> None:
    """Write a file as an editor or git does: whole, in the place of the old one."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


class Chat:
    """A service of emulated replicas in a folder of specs."""

    def __init__(
        self, enova: Enova, name: str = "watched", *, runtime: str = "process", image: str | None = None
    ) -> None:
        self.enova, self.name, self.port, self.runtime = enova, name, free_port(), runtime
        self.image = f", image: '{image}'" if image else ""
        self.file = specs_folder(enova) / f"{name}.yaml"
        enova.started.add(name)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def folder(self) -> str:
        return str(self.file.parent)

    def write(
        self,
        seqs: int = 8,
        replicas: int = 2,
        *,
        settle: str = "0s",
        ready: str = "60s",
        more: str = "",
        canary: str = "",
    ) -> None:
        words = {"settle": settle, "ready": ready, "more": self.image + more, "canary": canary}
        numbers = {"seqs": seqs, "replicas": replicas, "port": self.port}
        put(self.file, SPEC.format(name=self.name, runtime=self.runtime, **numbers, **words))

    def pids(self) -> dict[str, int]:
        """Return the process of each instance."""
        told = {one["target"]: one["detail"] for one in self.enova.instances(self.name)}
        return {target: int(words.removeprefix("pid ")) for target, words in told.items() if "pid" in words}


@contextmanager
def settled(chat: Chat, *options: str) -> Iterator[Watch]:
    """A daemon that has brought everything up."""
    with Watch(chat.enova, chat.folder, *options) as watch:
        watch.says(f"{chat.name}: done")
        yield watch


def running(enova: Enova) -> Counter[str]:
    """Return how many programs run of each instance, by the name of its folder, seen from outside."""
    root = str(enova.folder / "state" / "processes")
    marks: Counter[str] = Counter()
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
            # Workers of an engine share its mark; the program itself leads its group.
            if mark.startswith(root) and os.getpgid(process.pid) == process.pid:
                marks[Path(mark).name] += 1
        except (psutil.Error, OSError):
            continue
    return marks


def assert_nothing_left_over(enova: Enova, service: str) -> None:
    """Every program that runs is an instance that is known, and every instance runs once."""
    known = [one["name"] for one in enova.instances(service)]
    assert running(enova) == Counter(known)
    targets = Counter(one["target"] for one in enova.instances(service))
    assert set(targets.values()) == {1}, targets
