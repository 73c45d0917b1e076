"""Look, decide, begin what is to be done, and look again: on every change, and now and then without one.

Nothing that wakes the loop says what to do: every look starts from the files and from what runs. So a signal that
is lost costs time and nothing else, and a daemon that is killed at any moment goes on where it was.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from enova.adapters.history import History
from enova.adapters.lock import exclusive
from enova.advise import Wish
from enova.core.observed import Observed
from enova.core.plan import Plan
from enova.core.watch.backoff import Backoff
from enova.core.watch.hang import Hangs
from enova.core.watch.report import Report, ServiceReport
from enova.core.watch.version import InForce, Version
from enova.errors import ApplyError, EnovaError
from enova.executor import Phase, Progress, Result
from enova.keeping import Origin, keep, revisions_of
from enova.knowledge import Knowledge
from enova.observe import observe
from enova.tick import Tick, plan, plan_removal
from enova.watch.live import Live
from enova.watch.metrics import Metrics
from enova.watch.scaler import Scaler
from enova.watch.specs import Specs
from enova.watch.told import Told
from enova.watch.wanted import Group, Memory, Wanted
from enova.watch.work import Job, Work
from enova.world import World

COMMAND = "enova watch"
SOON_S = 5.0
"""Until the next look where something waits to be tried again, or may hang."""
JITTER = 0.1
"""Of the interval, so that the daemons of many hosts do not look at one thing all at once."""


@dataclass(slots=True, kw_only=True)
class Daemon:
    """Keeps a set of specs in force. Everything outside that it touches is given to it."""

    specs: Specs
    world: World
    knowledge: Callable[[], Knowledge]
    """What choices rest on, as it is at the time."""
    history: History
    state_dir: Path
    say: Callable[[str], None]
    report: Callable[[Report], None]
    """Takes what there is to say after every look."""
    now: Callable[[], float]
    """Unix time, seconds."""
    timestamp: Callable[[], str]
    monotonic: Callable[[], float]
    holder: str = ""
    pid: int = 0
    since_s: float = 0.0
    last_good: str = ""
    interval_s: float = 30.0
    prune: bool = False
    advisory: bool = False
    metrics: Metrics = field(default_factory=Metrics)
    live: Live = field(default_factory=Live)
    wake: threading.Event = field(default_factory=threading.Event)
    """Set to have it look now."""
    quit: threading.Event = field(default_factory=threading.Event)
    """Set, and `wake` with it, to have it finish what is under way and return."""
    scaler: Scaler = field(init=False)
    work: Work = field(init=False)
    _memory: Memory = field(init=False)
    _hangs: Hangs = field(default_factory=Hangs)
    _backoff: Backoff = field(default_factory=Backoff)
    _told: Told = field(init=False)
    _alone: ExitStack = field(default_factory=ExitStack)
    _is_alone: bool = False
    _observed: Observed | None = None
    _waits: dict[str, str] = field(default_factory=dict)
    _would: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.work = Work(self.world, self._progress, self.wake.set)
        self._told = Told(lambda words: self.say(words))
        self.scaler = Scaler(
            self.world, self.knowledge, self.now, lambda: self.live, self.wake.set, lambda words: self.say(words)
        )
        self._memory = Memory(self.specs, self.history, lambda file: self.knowledge().digest(file))

    def run(self, alive: Callable[[str], None] = lambda _: None) -> None:
        """Look until `quit` is set; then finish what is under way. `alive` is called at every turn, in words."""
        while not self.quit.is_set():
            self.wake.clear()
            began_s = self.monotonic()
            try:
                report = self.tick()
            except EnovaError as error:
                # No part of a look is expected to end like this; all the more must the next one be made.
                self._told.once("look", f"this look failed: {error.message}")
                report = None
            except Exception as error:  # noqa: BLE001 - the same
                self._told.once("look", f"this look failed: unexpected {type(error).__name__}: {error}")
                report = None
            else:
                self._told.forget("look")
            self.metrics.looked(report, self.monotonic() - began_s, self.now())
            alive("in sync" if report and report.in_sync else "at work")
            self.wake.wait(self._pause_s(report))
        self.work.enough.set()
        self.work.join()
        self._release()

    def look_now(self) -> None:
        """Have the specs fetched, where they are fetched, and look."""
        self.specs.refresh()
        self.wake.set()

    def tick(self) -> Report:
        """Look once, begin what is to be done, and return what there is to say of it."""
        wanted = self._memory.look()
        self._call_off(wanted)
        self._waits, self._would, self._observed = {}, {}, None
        unseen = list(wanted.unseen)
        self.scaler.keep_only(wanted.services)
        if self.advisory or self._take_lock(unseen):
            for group in self._groups(wanted):
                unseen += self._group(group, wanted)
            if self.prune and wanted.gone and not wanted.refusal:
                self._remove(wanted)
        if not self.work.jobs():
            self._release()
        self.live.follow(lambda: self._observed or observe(self.world, needed=(), gpus=False), wanted.services)
        self._told.standing((*wanted.problems, *unseen, wanted.refusal))
        report = self._report(wanted, tuple(dict.fromkeys(unseen)))
        self.report(report)
        return report

    def _groups(self, wanted: Wanted) -> Iterator[Group]:
        """Repairs first: they are cheap to plan, and what was promised to them is not given to what is new."""
        busy, names = self.work.jobs(), dict[str, InForce]()
        for name, one in wanted.services.items():
            if one.version is None or name in busy:
                continue
            waits = self._backoff.waits(name, one.version.spec_digest, self.monotonic())
            if waits:
                self._waits[name] = waits
                continue
            names[name] = one
        steady = {name: one for name, one in names.items() if not one.changed}
        chosen = {name: one for name, one in names.items() if one.changed and one.version and one.version.entry}
        left = {name: one for name, one in names.items() if name not in steady and name not in chosen}
        yield Group(steady, Wish(choose=False, foresee=False))
        yield Group(chosen, Wish(choose=False))
        yield Group(left, Wish())

    def _group(self, group: Group, wanted: Wanted) -> list[str]:
        """Plan for services together and begin what is to be done; return what could not be seen."""
        versions = [one.version for one in group.services.values() if one.version]
        if not versions:
            return []
        at_s = self.monotonic()
        found = plan(
            [one.service for one in versions],
            self.world,
            self.knowledge(),
            lock={one.service.name: one.entry for one in versions if one.entry},
            wish=group.wish,
            hung=lambda observed: self._hangs.look(observed, at_s),
            reserved=frozenset(gpu for job in self.work.jobs().values() for gpu in job.gpus),
            scaled=self.scaler.wanted(),
        )
        for one in found.resolved:
            self.scaler.keep(one)
        self._observed = found.observed
        self._forget(found.observed)
        for version in versions:
            name = version.service.name
            own = found.of({name})
            if own.plan.refusals:
                self._waits[name] = "; ".join(note.words for note in own.plan.refusals)
                self._told.once(name, f"{name}: refused: {self._waits[name]}")
            elif own.plan.actions:
                self._begin(name, own, version, self._origin(name, group.services[name], wanted))
            elif not own.plan.unknowns:
                self._settled(name, own, self._origin(name, group.services[name], wanted), group)
        return [str(note) for note in found.plan.unknowns]

    def _forget(self, observed: Observed) -> None:
        if len(observed.runtimes) == len(self.world.runtimes):
            self._hangs.forget(observed)

    def _settled(self, name: str, tick: Tick, origin: Origin, group: Group) -> None:
        """Nothing had to be done. A version that is new is kept as applied all the same."""
        self._told.forget(name)
        self._backoff.over(name)
        if group.services[name].changed and not self.advisory:
            self._keep(tick, None, origin)

    def _begin(self, name: str, tick: Tick, version: Version | None, origin: Origin) -> None:
        if self.advisory:
            self._would[name] = tuple(str(action) for action in tick.plan.actions)
            if self._told.once(name, f"{name}: would do:\n{_lines(tick.plan)}"):
                self._keep(tick, Result(), replace(origin, advisory=True))
            return
        if self.quit.is_set():
            return
        self.say(f"{name}: {len(tick.plan.actions)} to do\n{_lines(tick.plan)}")
        job = Job(name, version.digest if version else "", version.spec_digest if version else "", tick)
        self.work.begin(job, lambda job, result, trouble: self._ended(job, result, trouble, origin))

    def _ended(self, job: Job, result: Result | None, trouble: str, origin: Origin) -> None:
        """In the job's thread: keep what became of it. The loop looks at what is left."""
        name = job.service
        if result is not None:
            self._keep(job.tick, result, origin)
            failed = "; ".join(one.message.splitlines()[0] for one in result.failures)
            self.metrics.ended(name, result)
        else:
            failed = trouble
        if failed:
            self._backoff.failed(name, job.spec, failed, self.monotonic())
            self.say(f"{name}: failed: {failed}")
        elif result and not result.stopped and not result.skipped:
            self._backoff.over(name)
            self.say(f"{name}: done")

    def _keep(self, tick: Tick, result: Result | None, origin: Origin) -> None:
        names = [one.service.name for one in tick.resolved] or [one.service for one in tick.plan.actions]
        try:
            keep(tick, result, origin, self.history, at_s=self.now())
        except EnovaError as error:
            self._told.once("history", f"this is not kept in the history: {error.message}")
            newest = self._memory.newest_known()
            self._memory.remember(revisions_of(tick, result, origin, newest, at_s=self.now()))
        else:
            for name in names:
                self._memory.kept(name)

    def _remove(self, wanted: Wanted) -> None:
        gone = wanted.gone - self.work.jobs().keys()
        found = plan_removal(sorted(gone), self.world, needed=self.world.runtimes)
        for name in sorted(gone):
            own = found.of({name})
            if own.plan.actions and not self._backoff.waits(name, "", self.monotonic()):
                self._begin(name, own, None, Origin(command=COMMAND, why="its spec is gone", git_revision=""))

    def _call_off(self, wanted: Wanted) -> None:
        """Of what is under way, give up what is not wanted any more."""
        scaled = self.scaler.wanted()
        for name, job in self.work.jobs().items():
            if any(one.replicas < scaled.get(name, 0) for one in job.tick.desired) and not job.stop.is_set():
                self.say(f"{name}: more replicas are wanted than are under way: they are added")
                job.stop.set()
            holds = wanted.services.get(name)
            if holds is None or holds.version is None or not job.digest or holds.version.digest == job.digest:
                continue
            if not job.stop.is_set():
                self.say(f"{name}: its spec changed: what is under way is given up")
                job.stop.set()

    def _take_lock(self, unseen: list[str]) -> bool:
        """Hold this machine's lock while anything is under way: what is planned must be true when it is done."""
        if self._is_alone:
            return True
        try:
            lock = exclusive(self.state_dir / "apply.lock", what=COMMAND, now=self.timestamp())
            self._alone.enter_context(lock)
        except (ApplyError, OSError) as error:
            unseen.append(f"waiting: {error}")
            return False
        self._is_alone = True
        return True

    def _release(self) -> None:
        self._is_alone = False
        self._alone.close()

    def _origin(self, name: str, holds: InForce, wanted: Wanted) -> Origin:
        version = holds.version
        source = version.source if version else ""
        return Origin(
            command=COMMAND,
            files={name: source} if source else {},
            git_revision=wanted.revision,
            repair=not holds.changed,
            why="" if holds.changed else self.scaler.why(name),
        )

    def _report(self, wanted: Wanted, unseen: tuple[str, ...]) -> Report:
        jobs, live = self.work.jobs(), {name: self.live.vitals(name) for name in self.live.services()}
        scaling = self.scaler.told()
        self.metrics.scaled(scaling)
        services = {
            name: ServiceReport(
                in_force=str(one.because),
                reason=one.reason,
                doing=tuple(str(action) for action in jobs[name].tick.plan.actions) if name in jobs else (),
                would=self._would.get(name, ()),
                waits=self._waits.get(name, ""),
                scaling=scaling[name].words if name in scaling else "",
                traffic=live[name].words if name in live else "",
                unmeasured=live[name].unseen if name in live else (),
            )
            for name, one in sorted(wanted.services.items())
        }
        for name in sorted(wanted.gone if not wanted.refusal else ()):
            words = "no file names it any more" + ("" if self.prune else "; left as it is (--prune removes it)")
            services[name] = ServiceReport(in_force="gone", reason=words)
        report = Report(
            source=self.specs.name,
            holder=self.holder,
            pid=self.pid,
            since_s=self.since_s,
            at_s=self.now(),
            interval_s=self.interval_s,
            revision=wanted.revision,
            last_good=self.last_good,
            advisory=self.advisory,
            problems=wanted.problems,
            unseen=unseen,
            refusal=wanted.refusal,
            services=services,
        )
        if report.in_sync and report.revision:
            self.last_good = report.revision
        return replace(report, last_good=self.last_good)

    def _pause_s(self, report: Report | None) -> float:
        soon = report is None or bool(report.unseen) or any(one.waits for one in report.services.values())
        wait_s = min(SOON_S, self.interval_s) if soon or self._hangs.suspects else self.interval_s
        return wait_s * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - not for secrets

    def _progress(self, progress: Progress) -> None:
        if progress.phase is not Phase.RUNNING:
            detail = f": {progress.detail.splitlines()[0]}" if progress.detail else ""
            self.say(f"{progress.action.target}: {progress.action.verb} {progress.phase}{detail}")


def _lines(plan: Plan) -> str:
    return "\n".join(f"  {action}" for action in plan.actions)
