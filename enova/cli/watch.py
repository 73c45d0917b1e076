"""`enova watch`: keep it so."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated

import typer

from enova.cli.interrupt import INTERRUPTED
from enova.cli.options import InventoryFile, complete_path, seconds_of
from enova.cli.session import Session, session_of
from enova.cli.specs import DEFAULT_FOLDER
from enova.errors import UsageError

if TYPE_CHECKING:
    from enova.core.watch.report import Report
    from enova.watch import Daemon, Specs
    from enova.watch.live import Live

LISTEN = "127.0.0.1:9105"
GIT = "git+"
STUCK_S = 120.0
"""Longer than any look takes: a loop that has not turned for this long and an interval is not alive."""


def watch(
    ctx: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="PATH|git+URL",
            help="A spec file or folder, or git+URL[#branch[:folder]]. Default: ./specs",
            show_default=False,
            autocompletion=complete_path,
        ),
    ] = None,
    interval: Annotated[
        str, typer.Option("--interval", metavar="DURATION", help="How often to look where nothing is heard of.")
    ] = "30s",
    poll: Annotated[
        str, typer.Option("--poll", metavar="DURATION", help="How often to ask a git repository for commits.")
    ] = "60s",
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove services whose specs are gone, unless many go at once.")
    ] = False,
    advisory: Annotated[
        bool, typer.Option("--advisory", help="Say and keep what it would do, and do nothing.")
    ] = False,
    listen: Annotated[
        str,
        typer.Option(
            "--listen", metavar="HOST:PORT", help="Where /healthz, /readyz, /metrics and /hook are; or none."
        ),
    ] = LISTEN,
    metrics_interval: Annotated[
        str | None,
        typer.Option(
            "--metrics-interval",
            metavar="DURATION",
            help="How often to ask replicas and gateways what they do. Default: 5s; 15s of a Prometheus.",
            show_default=False,
        ),
    ] = None,
    prometheus: Annotated[
        str | None,
        typer.Option(
            "--prometheus", metavar="URL", help="Ask this Prometheus, which scrapes them, instead of asking them."
        ),
    ] = None,
    inventory: InventoryFile = None,
) -> int:
    """Keep what runs as the specs say: on every change of them, and of what runs.

    It never asks: what is in the folder or on the branch holds. One broken spec is told, and leaves its service as
    it was; a version that does not serve is taken back and not tried again until its spec changes. Of two on the
    same specs, one acts and the other waits.

    SIGTERM or Ctrl-C finishes the steps under way and leaves all serving (twice: gives them up; three times:
    ends at once). SIGHUP, or POST /hook, has it look now; SIGUSR1 writes what its threads do to stderr.

    \b
    Examples:
      $ enova watch specs
      $ enova watch git+https://git.example.com/team/specs.git#main:production --prune
      $ enova watch specs --advisory
    """
    from enova.watch.events import follow
    from enova.watch.leader import leading, place
    from enova.watch.serve import served
    from enova.watch.systemd import notify
    from enova.watch.vital_metrics import VitalMetrics

    session = session_of(ctx)
    specs = _specs(source, session, poll_s=_at_least(1.0, "--poll", poll))
    daemon = _daemon(
        session, specs, _at_least(0.1, "--interval", interval), inventory, prune=prune, advisory=advisory
    )
    every = metrics_interval or ("15s" if prometheus else "5s")
    daemon.live = _live(session, daemon, _at_least(1.0, "--metrics-interval", every), prometheus)
    daemon.metrics.registry.register(VitalMetrics(daemon.live))
    at = _address(listen)
    base = place(session.settings.state_dir, specs.name, advisory=advisory)
    # To see from outside what a loop does that does not turn.
    faulthandler.register(signal.SIGUSR1)
    with ExitStack() as stack:
        stack.enter_context(_signals(daemon))
        leads = _Leads(daemon, session)
        if at:
            registry = daemon.metrics.registry
            port = stack.enter_context(
                served(*at, healthy=leads.healthy, ready=leads.ready, registry=registry, hook=daemon.look_now)
            )
            session.say(f"listening on http://{at[0]}:{port}")
        notify("READY=1")
        what = f"enova watch {specs.name}"
        lock = base.with_suffix(".lock")
        if stack.enter_context(
            leading(lock, what=what, timestamp=session.timestamp, say=leads.waits, quitting=daemon.quit)
        ):
            leads.begins(base.with_suffix(".json"))
            threads = follow(specs, list(daemon.world.runtimes.values()), daemon.wake.set, daemon.quit)
            threads += daemon.scaler.threads(daemon.quit)
            threads.append(daemon.live.start(daemon.quit))
            daemon.run(leads.turns)
            notify("STOPPING=1")
            for thread in threads:
                thread.join(timeout=10)
    session.say("ended: everything serves on")
    return 0


class _Leads:
    """What there is to tell of the loop to those who ask."""

    def __init__(self, daemon: Daemon, session: Session) -> None:
        self.daemon, self.session = daemon, session
        self.turned_s = session.monotonic()
        self.waiting = "it has not looked yet"
        self.looked = False

    def waits(self, words: str) -> None:
        """Take in that another daemon leads."""
        from enova.watch.systemd import notify

        self.waiting = words
        notify(f"STATUS={words}")
        self.session.say(words)

    def begins(self, path: Path) -> None:
        """Take in that this one leads from now on, and reports in a file."""
        from enova.watch.report_file import read_report, write_report

        before = read_report(path)

        def report(found: Report) -> None:
            try:
                write_report(path, found)
            except OSError as error:
                self.session.say(f"{path} cannot be written: {error}")

        self.daemon.report = report
        self.daemon.since_s = self.session.now()
        self.daemon.last_good = before.last_good if before else ""
        self.daemon.metrics.leads(leads=True)
        self.session.say(f"keeping {self.daemon.specs.name}{' (advisory)' if self.daemon.advisory else ''}")
        self.turned_s = self.session.monotonic()
        self.waiting = "it has not looked yet"

    def turns(self, words: str) -> None:
        """Take in that the loop has made a look."""
        from enova.watch.systemd import notify

        self.turned_s, self.waiting, self.looked = self.session.monotonic(), "", True
        notify(f"WATCHDOG=1\nSTATUS={words}")

    def healthy(self) -> str:
        """Return what is wrong with the loop. One that waits for another daemon is alive."""
        if not self.looked:
            return ""
        since_s = self.session.monotonic() - self.turned_s
        return f"the loop has not turned for {since_s:.0f} s" if since_s > STUCK_S + self.daemon.interval_s else ""

    def ready(self) -> str:
        """Return why it does not keep the specs yet."""
        return self.waiting


def _daemon(
    session: Session, specs: Specs, interval_s: float, inventory: Path | None, *, prune: bool, advisory: bool
) -> Daemon:
    from enova.adapters.history import history_of
    from enova.cli.knowledge import knowledge_of
    from enova.watch import Daemon

    return Daemon(
        specs=specs,
        world=session.world(),
        knowledge=lambda: knowledge_of(session, inventory),
        history=history_of(session.settings),
        state_dir=session.settings.state_dir,
        say=lambda words: session.say(f"{session.timestamp()} {words}"),
        report=lambda _: None,
        now=session.now,
        timestamp=session.timestamp,
        monotonic=session.monotonic,
        holder=f"pid {os.getpid()} on {socket.gethostname()}",
        pid=os.getpid(),
        interval_s=interval_s,
        prune=prune,
        advisory=advisory,
    )


def _live(session: Session, daemon: Daemon, interval_s: float, prometheus: str | None) -> Live:
    from enova.adapters.gpu_use import GpuUse
    from enova.adapters.prometheus import Prometheus
    from enova.adapters.rollups import rollups_of
    from enova.adapters.scrape import TIMEOUT_S, Scraper
    from enova.core.metrics import gateway_page, page
    from enova.watch.live import Live

    if prometheus is not None and (not prometheus.startswith(("http://", "https://")) or "@" in prometheus):
        # Never shown: it may hold a password.
        raise UsageError("--prometheus: no address without user and password", hint="as in http://127.0.0.1:9090")
    return Live(
        scraper=Prometheus(prometheus, page.WANTED | gateway_page.WANTED, monotonic=session.monotonic)
        if prometheus
        else Scraper(timeout_s=min(TIMEOUT_S, interval_s / 2), monotonic=session.monotonic),
        # Beside an adviser there may be one that acts, and what came would be counted twice.
        rollups=None if daemon.advisory else rollups_of(session.settings),
        interval_s=interval_s,
        now=session.now,
        monotonic=session.monotonic,
        say=daemon.say,
        gpu_use=GpuUse(),
    )


def _specs(source: str | None, session: Session, *, poll_s: float) -> Specs:
    from enova.adapters.git import GitCheckout, parse_address
    from enova.watch import FolderSpecs, GitSpecs
    from enova.watch.leader import place

    if source is not None and source.startswith(GIT):
        address = parse_address(source)
        folder = place(session.settings.state_dir, str(address)).with_suffix(".git")
        return GitSpecs(GitCheckout(folder, address), poll_s)
    path = Path(source or DEFAULT_FOLDER)
    if not path.exists():
        raise UsageError(f"{path} is not there", hint="name a spec file or folder, or git+URL#branch:folder")
    return FolderSpecs(path)


def _address(text: str) -> tuple[str, int] | None:
    if text == "none":
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen: {text!r} is no address", hint=f"as in {LISTEN}, or none")
    return host.strip("[]"), int(port)


def _at_least(least_s: float, option: str, text: str) -> float:
    seconds = seconds_of(option, text)
    if seconds < least_s:
        raise UsageError(f"{option}: {text} is too short", hint=f"at least {least_s:g}s")
    return seconds


@contextmanager
def _signals(daemon: Daemon) -> Iterator[None]:
    # A handler may interrupt the main thread anywhere, inside of a lock too: all it does is to pass on the number.
    caught: SimpleQueue[int | None] = SimpleQueue()

    def act() -> None:
        while (number := caught.get()) is not None:
            if number == signal.SIGHUP:
                daemon.look_now()
            else:
                _end(daemon)

    thread = threading.Thread(target=act, name="signals", daemon=True)
    thread.start()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _: caught.put(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        caught.put(None)
        thread.join()


def _end(daemon: Daemon) -> None:
    """Begin nothing more; asked again, give up what is under way; asked once more, end at once."""
    jobs = daemon.work.jobs().values()
    if not daemon.quit.is_set():
        daemon.say("ending after the steps under way; again gives them up" if jobs else "ending")
        daemon.work.enough.set()
        daemon.quit.set()
        daemon.wake.set()
    elif all(job.stop.is_set() for job in jobs):
        os._exit(INTERRUPTED)
    else:
        daemon.say("giving up what is under way; again ends at once")
        for job in jobs:
            job.stop.set()
