"""A run: as many workers as it takes, one moment at which all of them begin, and their reports."""

from __future__ import annotations

import math
import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from time import monotonic

from enova.adapters.injector.body import head_of
from enova.adapters.injector.wire import Packed, unpacked
from enova.adapters.injector.worker import READY, STOP, work
from enova.core.inject.job import Job
from enova.core.inject.outcome import Batch
from enova.errors import EnovaError

REQUEST_CPU_S = 150e-6
TOKEN_CPU_S = 8e-6
"""What a request, and each token of a streamed answer, take of a core: measured by benchmarks/bench_inject.py, and
rounded up."""
USED = 0.5
"""Share of its core that a worker is to use, so that it is never late for want of it."""
BEGIN_AFTER_S = 0.05
READY_WITHIN_S = 120.0
END_WITHIN_S = 5.0
LOOK_EVERY_S = 0.2


def workers_for(rate: float | None, output_tokens: float, cpus: int, *, stream: bool) -> int:
    """Return how many workers keep up with a rate in requests/s, at most one for each CPU but one."""
    per_request_s = REQUEST_CPU_S + (output_tokens * TOKEN_CPU_S if stream else 0.0)
    return min(max(1, math.ceil((rate or 0.0) * per_request_s / USED)), max(1, cpus - 1))


class Run:
    """One run of a load; its batches can be had once. It takes no more workers than can have something to do.

    Raises ApplyError for a key that no header can carry.
    """

    def __init__(self, job: Job, *, workers: int) -> None:
        head_of(job.target)
        users = job.load.users
        workers = min(workers, job.in_flight or workers, users.number if users else workers)
        self._jobs = [replace(job, worker=number, workers=workers) for number in range(workers)]
        if job.in_flight is not None:
            self._jobs = [
                replace(one, in_flight=len(range(one.worker, job.in_flight, workers))) for one in self._jobs
            ]
        self._stop = threading.Event()

    def stop(self) -> None:
        """Send no more, and give up on what is under way: the last reports still come. May be called anywhere."""
        self._stop.set()

    def batches(self) -> Iterator[Batch]:
        """Yield what the workers report, from the first request to the last answer.

        Raises EnovaError if a worker ends before its time.
        """
        with _workers(self._jobs) as pipes:
            for pipe in pipes:
                _ready(pipe, pipes[pipe])
            began_s = monotonic() + BEGIN_AFTER_S
            for pipe in pipes:
                _tell(pipe, began_s)
            yield from self._reports(pipes)

    def _reports(self, pipes: dict[Connection, SpawnProcess]) -> Iterator[Batch]:
        left = dict(pipes)
        told = False
        finished: set[Connection] = set()
        while left:
            if self._stop.is_set() and not told:
                told = True
                for pipe in left:
                    _tell(pipe, STOP)
            heard = wait(list(left), timeout=LOOK_EVERY_S)
            for pipe in [pipe for pipe in left if pipe in heard]:
                try:
                    report: Packed = pipe.recv()
                except (EOFError, OSError):
                    process = left.pop(pipe)
                    if pipe not in finished:
                        raise _ended(process) from None
                    continue
                if not report.sending and not report.in_flight:
                    finished.add(pipe)
                yield unpacked(report)


@contextmanager
def _workers(jobs: list[Job]) -> Iterator[dict[Connection, SpawnProcess]]:
    """Yield a started process for each job by the pipe to it; none is left afterwards."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[Connection, SpawnProcess] = {}
    try:
        for job in jobs:
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, job), daemon=True, name=f"inject-{job.worker}")
            process.start()
            theirs.close()
            pipes[ours] = process
        yield pipes
    finally:
        for pipe, process in pipes.items():
            pipe.close()
            process.join(END_WITHIN_S)
            if process.is_alive():
                process.kill()
                process.join()


def _ready(pipe: Connection, process: SpawnProcess) -> None:
    try:
        if pipe.poll(READY_WITHIN_S) and pipe.recv() == READY:
            return
    except (EOFError, OSError):
        pass
    raise _ended(process)


def _tell(pipe: Connection, what: float | str) -> None:
    # Whoever has ended meanwhile, well or badly, is found when it is heard.
    with suppress(OSError):
        pipe.send(what)


def _ended(process: SpawnProcess) -> EnovaError:
    process.join(END_WITHIN_S)
    return EnovaError(
        f"a process that sends ended unexpectedly, with exit code {process.exitcode}",
        hint="what it was to send is lost; is there enough memory? `--workers` says how many there are",
    )
