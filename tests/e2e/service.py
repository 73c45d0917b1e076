"""A small service of emulated replicas for tests to apply."""

from __future__ import annotations

import httpx

from enova.adapters.processes.alive import holder
from tests.e2e.command import Enova, free_port

SPEC = """\
metadata: {{name: {name}}}
model: {{id: acme/tiny, served_names: [tiny]}}
engine: {{kind: emulated, max_num_seqs: {max_num_seqs}{engine}}}
placement: {{runtime: {runtime}}}
scaling: {{min: {replicas}}}
gateway: {{port: {port}}}
rollout: {{settle: 0s, drain_timeout: 5s, stop_timeout: 5s}}
{more}
"""


class Service:
    """A service of emulated replicas, and the spec files that say so."""

    def __init__(
        self, enova: Enova, name: str = "e2e-chat", *, engine: str = "", runtime: str = "process"
    ) -> None:
        self.enova, self.name, self.engine, self.runtime = enova, name, engine, runtime
        self.port = free_port()
        enova.started.add(name)

    def spec(self, *, max_num_seqs: int = 8, replicas: int = 2, more: str = "") -> str:
        text = SPEC.format(
            name=self.name,
            max_num_seqs=max_num_seqs,
            engine=self.engine,
            runtime=self.runtime,
            replicas=replicas,
            port=self.port,
            more=more,
        )
        return self.enova.spec(text, f"{self.name}.yaml")

    def pids(self) -> dict[str, int]:
        """Return the living process behind each instance, by target."""
        folder = self.enova.folder / "state" / "processes"
        instances = {i["target"]: folder / i["name"] / "lock" for i in self.enova.instances(self.name)}
        return {target: pid for target, lock in instances.items() if (pid := holder(lock))}

    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def answers(self) -> bool:
        """Tell whether the endpoint completes a prompt."""
        request = {"model": "tiny", "prompt": "x", "max_tokens": 2}
        try:
            return httpx.post(f"{self.url()}/completions", json=request, timeout=30).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False
