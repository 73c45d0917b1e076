"""The single effects an action consists of. Each is one thing done to the world, or one thing waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from enova.core.fingerprint import fingerprint, instance_name
from enova.core.launch import API_KEY, Launch, Role
from enova.core.observed import Health, Instance, State
from enova.core.plan import Action, Trial, Verb
from enova.core.rollout import Down, Up, bring_up, put_down, take_down
from enova.core.runtime import Report
from enova.errors import ApplyError, EnovaError, Interrupted, NotServing
from enova.trial import watch_trial
from enova.wait import Stop, wait_drained, wait_ready, wait_settled
from enova.world import World

HUNG_STOP_S = 2.0
"""What hangs does not end in time for having been asked to; it may be that it has been freed meanwhile."""


@dataclass(slots=True)
class Context:
    """What the actions of one run share."""

    world: World
    secrets: Mapping[str, Mapping[str, str]]
    """Target -> environment variable -> value."""
    gateways: dict[str, Instance]
    """Service -> its gateway, as it runs now."""
    stop: Stop
    """Once set, actions are given up at their next step."""
    enough: Stop
    """Once set, no other action is begun, and none waits for what only time can tell."""
    lock: threading.Lock = field(default_factory=threading.Lock)


def carry_out(action: Action, context: Context, *, report: Report) -> None:
    """Do all that `action` consists of, in order. Raises ApplyError or ObserveError at the first that fails.

    What does not come up is taken back: it holds nothing, and what it was to replace serves again.
    """
    if action.verb is Verb.JUDGE:
        _judge(action, context, report)
        return
    if action.worker_url:
        _unroute(context, action.service, action.worker_url)
    if action.verb is Verb.START and action.new and action.new.role is Role.REPLICA:
        # What is down takes requests until it is off the list: those that are tried again must find another.
        _unroute(context, action.service, action.new.worker_url)
    routed = _workers(action.old, context) if action.stop_first else frozenset()
    if action.old and action.stop_first:
        _put_down(action, action.old, put_down(action.old), context, report)
    if action.verb is Verb.RESTART and action.new:
        # It answers nothing: there is nothing to wait for before it is stopped.
        hung = replace(action, policy=replace(action.policy, stop_timeout_s=HUNG_STOP_S))
        _put_down(hung, action.new, (Down.UNROUTE, Down.STOP), context, report)
        action = replace(action, new=replace(action.new, state=State.EXITED))
    if action.launch:
        coming = _BringUp(action, action.launch, context, report)
        try:
            coming.run(bring_up(action.launch, action.new, replaces=action.old is not None))
        except Interrupted:
            raise
        except ApplyError as error:
            raise _taken_back(error, coming, routed) from error
    if action.old:
        left = () if action.stop_first else put_down(action.old)
        left = left if action.held else (*left, Down.REMOVE)
        _put_down(action, action.old, left, context, report)


class _BringUp:
    """An instance on its way up; its id is known once it is created."""

    def __init__(
        self, action: Action, launch: Launch, context: Context, report: Report, instance_id: str = ""
    ) -> None:
        self.action, self.launch, self.context, self.report = action, launch, context, report
        self.world = context.world
        self.runtime = context.world.runtimes[launch.runtime]
        self.id = instance_id or (action.new.id if action.new else "")

    def run(self, effects: Sequence[Up]) -> None:
        do: Mapping[Up, Callable[[], None]] = {
            Up.CREATE: self.create,
            Up.START: self.start,
            Up.READY: self.ready,
            Up.PROBE: self.probe,
            Up.SETTLE: self.settle,
            Up.ROUTE: self.route,
        }
        for effect in effects:
            _go_on(self.context.stop)
            self.report(str(effect))
            do[effect]()

    def create(self) -> None:
        self.id = self.runtime.create(self.launch, self.context.secrets[self.action.target], self.report)

    def start(self) -> None:
        self.runtime.start(self.id)

    def ready(self) -> None:
        timeout_s = self.action.policy.ready_timeout_s
        ready = self._serves if self.launch.role is Role.REPLICA else self._routes
        instance = wait_ready(self.world, self.runtime, self.id, ready, timeout_s, self.report, self.context.stop)
        if self.launch.role is Role.GATEWAY:
            self.context.gateways[self.launch.service] = instance

    def probe(self) -> None:
        policy = self.action.policy
        try:
            self.world.engine.probe(
                _url(self._instance()),
                prompt=policy.probe_prompt,
                max_tokens=policy.probe_max_tokens,
                timeout_s=policy.probe_timeout_s,
                api_key=self.context.secrets[self.action.target].get(API_KEY),
            )
        except ApplyError as error:
            raise NotServing(error.message, hint=error.hint) from error

    def settle(self) -> None:
        wait_settled(self.world, self.runtime, self.id, self.action.policy.settle_s, self.context.stop)

    def route(self) -> None:
        worker_url = self._instance().worker_url
        if worker_url is None:
            raise ApplyError(f"{self.action.target} has no address to route to", hint="apply again")
        self.route_to([worker_url])

    def route_to(self, worker_urls: Iterable[str]) -> None:
        gateway = self.context.gateways.get(self.action.service)
        if gateway is None:
            raise ApplyError(f"{self.action.service} has no gateway to route from", hint="apply again")
        for worker_url in worker_urls:
            self.world.gateway.add(_url(gateway), worker_url)
        _remember_routes(self.context, gateway)

    def _serves(self, url: str) -> bool:
        return self.world.engine.health(url) is Health.HEALTHY

    def _routes(self, url: str) -> bool:
        """A router without workers may call itself unhealthy; that it tells its routes is what counts."""
        return isinstance(self.world.gateway.routes(url), frozenset)

    def _instance(self) -> Instance:
        instance = self.runtime.get(self.id)
        if instance is None:
            raise ApplyError("it disappeared while it was brought up", hint="apply again")
        return instance


def _taken_back(error: ApplyError, failed: _BringUp, routed: frozenset[str]) -> ApplyError:
    """Undo what failed, and return the error with how things are now. `routed` are the workers of a gateway.

    What replaces nothing is only stopped, so that its log can be read; otherwise its GPUs and its name are needed.
    """
    action, old = failed.action, failed.action.old
    failed.report("take it back")
    try:
        if failed.id:
            failed.runtime.stop(failed.id, action.policy.stop_timeout_s)
        if failed.id and old:
            failed.runtime.remove(failed.id)
        now = _restored(failed, old, routed) if old else "it was stopped"
    except EnovaError as second:
        now = f"and it could not be taken back: {second.message}"
    # Its log went with it; that of its target is the old one's.
    hint = f"mend the spec; this is kept in `enova history {action.service}`" if old else error.hint
    return type(error)(f"{error.message}\n{now}", hint=hint)


def _restored(failed: _BringUp, old: Instance, routed: frozenset[str]) -> str:
    """Have the old one serve, if it does not, and return in words that it does."""
    there = failed.context.world.runtimes[old.runtime].get(old.id)
    if there is None:
        return "the old one is gone"
    if there.state is State.RUNNING:
        return "the old one serves on"
    launch = replace(failed.launch, runtime=old.runtime)
    back = _BringUp(failed.action, launch, failed.context, failed.report, old.id)
    # It was probed before it served.
    back.run([Up.START, Up.READY, Up.ROUTE] if old.role is Role.REPLICA else [Up.START, Up.READY])
    if routed:
        back.route_to(sorted(routed))
    return "the old one was started again and serves"


@dataclass(frozen=True, slots=True)
class _Either:
    one: Stop
    other: Stop

    def is_set(self) -> bool:
        return self.one.is_set() or self.other.is_set()


def _judge(action: Action, context: Context, report: Report) -> None:
    """Compare the replicas on trial with the old ones; take them back if they do worse, each for its old one."""
    canary = action.policy.canary
    if canary is None:
        raise ApplyError(f"{action.service} has no canary to judge", hint="apply again")
    wanted = {fingerprint(trial.launch) for trial in action.trials}
    # A runtime that none of it is in may be missing on this machine.
    places = {place for trial in action.trials for place in (trial.launch.runtime, trial.old.runtime)}
    serving = [
        one
        for place in sorted(places)
        for one in context.world.runtimes[place].look().instances
        if one.service == action.service and one.role is Role.REPLICA and one.state is State.RUNNING and one.url
    ]
    new = [_url(one) for one in serving if one.fingerprint in wanted]
    old = [_url(one) for one in serving if one.fingerprint not in wanted]
    found = watch_trial(context.world, new, old, canary, report, _Either(context.stop, context.enough))
    for trial in action.trials:
        if found:
            _take_back(trial, action, context, report)
        else:
            context.world.runtimes[trial.old.runtime].remove(trial.old.id)
    if found:
        words = "".join(f"\n    {one}" for one in found)
        hint = f"mend the spec; this is kept in `enova history {action.service}`"
        raise NotServing(
            f"the canary does worse than what it was to replace:{words}\nit was taken back", hint=hint
        )


def _take_back(trial: Trial, action: Action, context: Context, report: Report) -> None:
    """The new one first: the old one may need its GPUs."""
    runtime = context.world.runtimes[trial.launch.runtime]
    new = next((one for one in runtime.look().instances if one.name == instance_name(trial.launch)), None)
    back = replace(action, target=trial.launch.target)
    if new:
        _put_down(back, new, take_down(new), context, report)
    launch = replace(trial.launch, runtime=trial.old.runtime)
    _BringUp(back, launch, context, report, trial.old.id).run([Up.START, Up.READY, Up.ROUTE])


def _workers(gateway: Instance | None, context: Context) -> frozenset[str]:
    """Return what a gateway that is to be stopped routes to."""
    if gateway is None or gateway.role is not Role.GATEWAY or not gateway.url:
        return frozenset()
    routes = context.world.gateway.routes(gateway.url)
    return routes if isinstance(routes, frozenset) else frozenset()


def _put_down(
    action: Action, instance: Instance, effects: Sequence[Down], context: Context, report: Report
) -> None:
    runtime, policy = context.world.runtimes[instance.runtime], action.policy
    do: Mapping[Down, Callable[[], None]] = {
        Down.UNROUTE: lambda: _unroute(context, instance.service, instance.worker_url),
        Down.DRAIN: lambda: _drain(context, instance, policy.drain_timeout_s, report),
        Down.STOP: lambda: runtime.stop(instance.id, policy.stop_timeout_s),
        Down.REMOVE: lambda: runtime.remove(instance.id),
    }
    for effect in effects:
        _go_on(context.stop)
        report(str(effect))
        do[effect]()


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
