"""What one snapshot asks of the world, and what it makes of the answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from enova.core.observed import Health, Instance, State
from enova.observe import observe
from enova.testing import MemoryEngine, MemoryHost, memory_world
from tests.staging import gateway, instance, replica


@dataclass(slots=True)
class NotingEngine(MemoryEngine):
    """Notes which replicas were asked for their health; only those named answer well."""

    serving: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    def health(self, url: str) -> Health:
        self.asked.append(url)
        return Health.HEALTHY if url in self.serving else Health.STARTING


def look(*instances: Instance, serving: tuple[str, ...] = ()) -> tuple[dict[str, Health], list[str]]:
    """Return the health seen of each instance by target, and the URLs that were asked."""
    host = MemoryHost(instances={("docker", i.id): i for i in instances})
    engine = NotingEngine(host, serving)
    seen = observe(replace(memory_world(host), engine=engine), needed={"docker"}, gpus=False)
    return {i.target: i.health for i in seen.instances()}, engine.asked


def test_a_replica_whose_runtime_calls_it_healthy_is_not_asked() -> None:
    assert look(instance(replica(), health=Health.HEALTHY)) == ({"chat#0": Health.HEALTHY}, [])


def test_a_replica_whose_runtime_calls_it_unhealthy_may_only_be_starting_again() -> None:
    healths, asked = look(instance(replica(), health=Health.UNHEALTHY))

    assert (healths, len(asked)) == ({"chat#0": Health.STARTING}, 1)


def test_a_replica_whose_runtime_has_not_decided_is_asked_itself() -> None:
    serves = instance(replica(), health=Health.UNKNOWN)
    loads = instance(replica(slot=1), health=Health.STARTING)

    healths, asked = look(serves, loads, serving=(str(serves.url),))

    assert healths == {"chat#0": Health.HEALTHY, "chat#1": Health.STARTING}
    assert sorted(asked) == sorted([str(serves.url), str(loads.url)])


def test_neither_a_gateway_nor_what_does_not_run_is_asked() -> None:
    healths, asked = look(
        instance(gateway(), health=Health.UNKNOWN),
        instance(replica(), health=Health.UNKNOWN, state=State.EXITED),
    )

    assert healths == {"chat@gateway": Health.UNKNOWN, "chat#0": Health.UNKNOWN}
    assert asked == []
