"""A run of real load: what is asked and what it runs on, what is foretold of it, and the run itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from enova.adapters.endpoint import Endpoint, look_at
from enova.adapters.injector import Run
from enova.adapters.secrets import read_secret
from enova.advise import Wish, adviser_of
from enova.core.inject.tally import Tally
from enova.core.launch import Role
from enova.core.lockfile import Lock
from enova.core.observed import Instance, Observed, State, Unknown
from enova.core.simulate.changes import retries_of
from enova.core.simulate.forecast import Conditions, run_of
from enova.core.simulate.results import Results
from enova.core.spec import Service
from enova.core.workload.load import Load
from enova.errors import EnovaError, ObserveError
from enova.knowledge import Knowledge
from enova.outlook import Running, running_of
from enova.tick import plan
from enova.world import World

AS_IT_IS = Wish(choose=False, foresee=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A service that runs, as a client finds it."""

    endpoint: Endpoint
    key: str | None
    fingerprint: str
    """Of its replicas."""
    replicas: int
    runs: Running | str
    """What it runs on, as it can be simulated; or why that cannot be told."""


def deployed(service: Service, world: World, knowledge: Knowledge, lock: Lock) -> Deployed:
    """Return what runs of a service. Raises ObserveError where that cannot be seen, or nothing runs."""
    tick = plan([service], world, knowledge, lock=lock, wish=AS_IT_IS)
    gateway, replicas = _running(tick.observed, service)
    key = read_secret(service.gateway.api_key) if service.gateway.api_key else None
    endpoint = look_at(gateway, key)
    if endpoint.vllm is None and replicas[0].url:
        # A router does not say what is behind it.
        endpoint = replace(endpoint, vllm=look_at(replicas[0].url, key).vllm)
    [resolved] = tick.resolved
    return Deployed(
        endpoint=endpoint,
        key=key,
        fingerprint=replicas[0].fingerprint,
        replicas=len(replicas),
        runs=running_of(resolved, adviser_of(knowledge, tick.observed, AS_IT_IS), tick.observed),
    )


def _running(observed: Observed, service: Service) -> tuple[str, list[Instance]]:
    """Return the address of the gateway, and the replicas."""
    look = observed.runtimes.get(service.runtime)
    if isinstance(look, Unknown):
        raise ObserveError(f"{service.name}: {look.reason}")
    own = [one for one in observed.instances() if one.service == service.name and one.state is State.RUNNING]
    gateway = next((one.url for one in own if one.role is Role.GATEWAY and one.url), None)
    replicas = [one for one in own if one.role is Role.REPLICA]
    if gateway is None or not replicas:
        raise ObserveError(f"{service.name} does not run", hint="start it with `enova apply`, or give an address")
    return gateway, replicas


def foretold(runs: Running | str, load: Load, conditions: Conditions) -> Results | str:
    """Return what users of this very load are to see of what runs; or why that cannot be told."""
    if isinstance(runs, str):
        return runs
    conditions = replace(
        conditions,
        policy=runs.service.gateway.policy or "round_robin",
        retries=retries_of(runs.service.gateway),
        error=runs.learnt or runs.question.evidence.error,
    )
    try:
        return run_of([runs.question.evidence.replica(runs.shape.setup)] * runs.replicas, load, conditions)
    except (EnovaError, KeyError) as error:
        return f"cannot be told: {error}"


def inject(run: Run, tally: Tally, told: Callable[[Tally], None] = lambda _: None) -> None:
    """Send a load and count what becomes of it; `told` hears of every report of a worker."""
    for batch in run.batches():
        tally.add(batch)
        told(tally)
