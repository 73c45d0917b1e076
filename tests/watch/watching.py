"""A daemon on a folder of specs and a machine in memory, looked at one look at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from enova.adapters.history import History
from enova.core.launch import Role
from enova.core.observed import State
from enova.core.revision import Revision
from enova.core.watch.report import Report
from enova.testing import MemoryHost, memory_world
from enova.watch import Daemon, FolderSpecs
from enova.watch.specs import Specs
from tests.knowing import Known
from tests.staging import gpus

MOST_LOOKS = 20


@dataclass
class Watched:
    """`with` nothing around it: whatever `look` begins is over when it returns."""

    folder: Path
    host: MemoryHost = field(default_factory=lambda: MemoryHost(gpus=gpus(8)))
    prune: bool = False
    advisory: bool = False
    source: Specs | None = None
    said: list[str] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    now_s: float = 1_800_000_000.0
    daemon: Daemon = field(init=False)

    def __post_init__(self) -> None:
        self.specs.mkdir(exist_ok=True)
        self.restart()

    @property
    def specs(self) -> Path:
        return self.folder / "specs"

    @property
    def history(self) -> History:
        return History(self.folder / "state" / "history.db")

    def restart(self) -> None:
        """Begin with a daemon that remembers nothing."""
        self.daemon = Daemon(
            specs=self.source or FolderSpecs(self.specs),
            world=memory_world(self.host),
            knowledge=Known().knowledge,
            history=self.history,
            state_dir=self.folder / "state",
            say=self.said.append,
            report=self.reports.append,
            now=lambda: self.now_s,
            timestamp=lambda: "now",
            monotonic=lambda: self.host.time_s,
            prune=self.prune,
            advisory=self.advisory,
        )

    def write(self, name: str = "chat", **sections: str) -> None:
        """Write the spec of a service of two replicas. `sections` are further ones."""
        lines: dict[str, str] = {"model": "org/model", "scaling": "{min: 2}", "rollout": "{settle: 0s}"} | sections
        text = f"metadata: {{name: {name}}}\n" + "".join(f"{key}: {value}\n" for key, value in lines.items())
        (self.specs / f"{name}.yaml").write_text(text)

    def break_(self, name: str = "chat") -> None:
        (self.specs / f"{name}.yaml").write_text("metadata: {name: chat\n")

    def look(self) -> Report:
        """Look once, and wait until what was begun is over."""
        report = self.daemon.tick()
        self.daemon.work.join()
        self.host.time_s += 1
        return report

    def settle(self) -> Report:
        """Look until there is nothing new to say, and return the last report."""
        for _ in range(MOST_LOOKS):
            before = len(self.said)
            report = self.look()
            if len(self.said) == before:
                return report
        raise AssertionError(f"it does not settle: {self.said}")

    def served(self) -> dict[str, str | None]:
        """Return what serves: the image of every replica that runs and is routed to, by target."""
        routed = {url for urls in self.host.routes.values() for url in urls}
        running = [i for i in self.host.instances.values() if i.state is State.RUNNING]
        return {i.target: i.image for i in running if i.role is Role.REPLICA and i.worker_url in routed}

    def revisions(self, service: str = "chat") -> list[Revision]:
        return list(self.history.revisions(service))

    def endings(self, service: str = "chat") -> list[str]:
        """Return cause and ending of all that was kept, in order."""
        return [f"{one.cause} {one.ending}" for one in self.revisions(service)]
