"""The single effects an action consists of. Each is one thing done to the world, or one thing waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from enova.core.launch import API_KEY, Launch, Role
from enova.core.observed import Instance, State
from enova.core.plan import Action
from enova.core.rollout import Down, Up, bring_up, take_down
from enova.core.runtime import Report
from enova.errors import ApplyError, Interrupted
from enova.wait import Stop, wait_drained, wait_ready
from enova.world import World


@dataclass(slots=True)
class Context:
    """What the actions of one run share."""

    world: World
    secrets: Mapping[str, Mapping[str, str]]
    """Target -> environment variable -> value."""
    gateways: dict[str, Instance]
    """Service -> its gateway, as it runs now."""
    stop: Stop
    lock: threading.Lock = field(default_factory=threading.Lock)


def carry_out(action: Action, context: Context, *, report: Report) -> None:
    """Do all that `action` consists of, in order. Raises ApplyError or ObserveError at the first that fails."""
    if action.worker_url:
        _unroute(context, action.service, action.worker_url)
    if action.old and action.stop_first:
        _take_down(action, action.old, context, report)
    if action.launch:
        _BringUp(action, action.launch, context, report).run()
    if action.old and not action.stop_first:
        _take_down(action, action.old, context, report)


class _BringUp:
    """An instance on its way up; its id is known once it is created."""

    def __init__(self, action: Action, launch: Launch, context: Context, report: Report) -> None:
        self.action, self.launch, self.context, self.report = action, launch, context, report
        self.world = context.world
        self.runtime = context.world.runtimes[launch.runtime]
        self.id = action.new.id if action.new else ""

    def run(self) -> None:
        effects: Mapping[Up, Callable[[], None]] = {
            Up.CREATE: self.create,
            Up.START: self.start,
            Up.READY: self.ready,
            Up.PROBE: self.probe,
            Up.ROUTE: self.route,
        }
        for effect in bring_up(self.launch, self.action.new):
            _go_on(self.context.stop)
            self.report(str(effect))
            effects[effect]()

    def create(self) -> None:
        self.id = self.runtime.create(self.launch, self.context.secrets[self.action.target], self.report)

    def start(self) -> None:
        self.runtime.start(self.id)

    def ready(self) -> None:
        timeout_s = self.action.policy.ready_timeout_s
        ready = self.world.engine.healthy if self.launch.role is Role.REPLICA else self._routes
        instance = wait_ready(self.world, self.runtime, self.id, ready, timeout_s, self.report, self.context.stop)
        if self.launch.role is Role.GATEWAY:
            self.context.gateways[self.launch.service] = instance

    def probe(self) -> None:
        policy = self.action.policy
        self.world.engine.probe(
            _url(self._instance()),
            prompt=policy.probe_prompt,
            max_tokens=policy.probe_max_tokens,
            timeout_s=policy.probe_timeout_s,
            api_key=self.context.secrets[self.action.target].get(API_KEY),
        )

    def route(self) -> None:
        gateway = self.context.gateways.get(self.action.service)
        worker_url = self._instance().worker_url
        if gateway is None or worker_url is None:
            raise ApplyError(f"{self.action.service} has no gateway to route from", hint="apply again")
        self.world.gateway.add(_url(gateway), worker_url)
        _remember_routes(self.context, gateway)

    def _routes(self, url: str) -> bool:
        """A router without workers may call itself unhealthy; that it tells its routes is what counts."""
        return isinstance(self.world.gateway.routes(url), frozenset)

    def _instance(self) -> Instance:
        instance = self.runtime.get(self.id)
        if instance is None:
            raise ApplyError("it disappeared while it was brought up", hint="apply again")
        return instance


def _take_down(action: Action, instance: Instance, context: Context, report: Report) -> None:
    runtime, policy = context.world.runtimes[instance.runtime], action.policy
    effects: Mapping[Down, Callable[[], None]] = {
        Down.UNROUTE: lambda: _unroute(context, instance.service, instance.worker_url),
        Down.DRAIN: lambda: _drain(context, instance, policy.drain_timeout_s, report),
        Down.STOP: lambda: runtime.stop(instance.id, policy.stop_timeout_s),
        Down.REMOVE: lambda: runtime.remove(instance.id),
    }
    for effect in take_down(instance):
        _go_on(context.stop)
        report(str(effect))
        effects[effect]()


def _unroute(context: Context, service: str, worker_url: str | None) -> None:
    """Where no gateway listens there is nothing to be taken out of."""
    gateway = context.gateways.get(service)
    if gateway is None or gateway.state is not State.RUNNING or not gateway.url or not worker_url:
        return
    if context.world.gateway.routes(gateway.url) is None:
        return
    context.world.gateway.remove(gateway.url, worker_url)
    _remember_routes(context, gateway)


def _remember_routes(context: Context, gateway: Instance) -> None:
    """Replicas of one service come and go side by side; what is remembered must be the last of their lists."""
    with context.lock:
        routes = context.world.gateway.routes(_url(gateway))
        if isinstance(routes, frozenset):
            context.world.runtimes[gateway.runtime].remember_routes(gateway.id, routes)


def _drain(context: Context, instance: Instance, timeout_s: float, report: Report) -> None:
    if instance.url:
        wait_drained(context.world, instance.url, timeout_s, report, context.stop)


def _go_on(stop: Stop) -> None:
    if stop.is_set():
        raise Interrupted("interrupted", hint="apply again to continue from here")


def _url(instance: Instance) -> str:
    if instance.url is None:
        raise ApplyError(f"{instance.target} has no address", hint=f"see `enova logs {instance.target}`")
    return instance.url
