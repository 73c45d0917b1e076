"""One run of load for commands: what is to be sent, the run itself with its progress, and the report of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from enova.cli.inject_aim import Aim
from enova.cli.interrupt import stoppable
from enova.cli.session import Session
from enova.cli.traffic import Traffic
from enova.errors import UsageError

if TYPE_CHECKING:
    from enova.adapters.tokenizer import Tokenizer
    from enova.core.inject.job import Api, Job
    from enova.core.inject.tally import Tally
    from enova.core.simulate.forecast import Conditions
    from enova.core.simulate.results import Results
    from enova.core.workload.load import Load
    from enova.core.workload.prompts import Prompts
    from enova.core.workload.report import InjectionReport, Tested

USUAL_DURATION = "60s"
SAID_EVERY_S = 10.0
REFRESH_PER_S = 4
STOPPING = "stopping: the report is of what was sent so far; Ctrl-C again exits at once, without one"
FEW_IDS = 20_000
"""Token ids are drawn from below: they are words and parts of words, and what is special lies above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How requests are sent, whatever the traffic."""

    api: Api
    stream: bool
    ignore_eos: bool
    model: str | None
    tokenizer: str | None
    deadline_s: float
    in_flight: int | None
    workers: int | None
    predict: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that is known before the first request."""

    aim: Aim
    job: Job
    conditions: Conditions
    workers: int
    predict: bool
    notes: tuple[str, ...]


def prepared(aim: Aim, traffic: Traffic, how: How) -> Prepared:
    """Return what is to be sent and how.

    Raises:
        UsageError: options that do not go together, or traffic that is not known.
        RecordingError: a trace or a dataset with mistakes.
        ObserveError: the endpoint does not answer.
    """
    from enova.core.inject.job import Job, Target

    load, conditions = _load_of(aim, traffic)
    streamed = conditions.promises
    if not how.stream:
        # An answer in one piece has no first token that anything could be promised of.
        conditions = replace(conditions, promises=tuple(one for one in streamed if one.metric == "e2e"))
    tokenizer = _tokenizer_of(aim, how)
    load = _counted(load, tokenizer) if tokenizer else load
    target = Target(
        url=aim.endpoint.url,
        model=how.model or aim.endpoint.models[0],
        api=how.api,
        stream=how.stream,
        ignore_eos=how.ignore_eos,
        key=aim.key,
    )
    prompts, notes = _prompts_of(aim, how, load, tokenizer)
    if conditions.promises != streamed:
        notes = (*notes, "without a stream there is no first token: promises of TTFT, TPOT and ITL are not judged")
    job = Job(
        target=target,
        load=load,
        prompts=prompts,
        requests=traffic.requests,
        deadline_s=how.deadline_s,
        in_flight=how.in_flight,
    )
    return Prepared(
        aim=aim,
        job=job,
        conditions=conditions,
        workers=how.workers or _workers_of(load, stream=how.stream),
        predict=how.predict,
        notes=notes,
    )


def injected(session: Session, run: Prepared, color: str) -> InjectionReport:
    """Send the load, showing how it goes on stderr, and return the report. The first Ctrl-C ends it early."""
    from enova.adapters.injector import Run
    from enova.core.inject.reported import report_of
    from enova.core.inject.tally import Tally
    from enova.injecting import inject

    predicted = predicted_of(run)
    tally = Tally(run.job.load, run.conditions, limited=run.job.in_flight is not None)
    sending = Run(run.job, workers=run.workers)
    began_s = session.now()
    stopped_s: float | None = None
    with _progress(session, run, color) as (show, say), stoppable(session, say, STOPPING) as stop:

        def told(tally: Tally) -> None:
            nonlocal stopped_s
            if stop.is_set() and stopped_s is None:
                stopped_s = tally.so_far().at_s
                sending.stop()
            show(tally)

        inject(sending, tally, told)
    report = report_of(
        tally.measured(stopped_s=stopped_s),
        tally.overtime,
        run.job,
        run.conditions,
        name=run.aim.name,
        tested=_tested(run.aim),
        predicted=predicted,
        began_s=began_s,
        ended_s=session.now(),
    )
    return report.model_copy(update={"notes": (*report.notes, *run.notes)})


def predicted_of(run: Prepared) -> Results | str:
    """Return what is foretold of the very requests that are to be sent; or why nothing is."""
    from enova.injecting import foretold

    if not run.predict:
        return "not asked for"
    if run.job.in_flight is not None:
        return "what a limit on requests in flight does is not simulated"
    return foretold(run.aim.runs, run.job.load, run.conditions)


def _load_of(aim: Aim, traffic: Traffic) -> tuple[Load, Conditions]:
    """Return the load, which ends by itself, and how it is judged."""
    from enova.adapters.model_error import measured_error
    from enova.core.spec.injection import Stages, Trace

    arrival = aim.service.injection.arrival
    open_end = traffic.duration is None and traffic.requests is None and aim.service.injection.duration is None
    if open_end and (traffic.users is not None or not isinstance(arrival, (Stages, Trace))):
        traffic = replace(traffic, duration=USUAL_DURATION)
    load = traffic.load(aim.service, named=aim.named, texts=True)
    conditions = traffic.conditions(aim.service, load, measured_error())
    if load.duration_s is not None and conditions.warmup_s >= load.duration_s:
        raise UsageError(f"--warmup: {conditions.warmup_s:g} s is all of the run", hint="or a longer --duration")
    return load, conditions


def _workers_of(load: Load, *, stream: bool) -> int:
    """Return how many processes keep up, going by the first requests of the load."""
    from enova.adapters.injector import workers_for
    from enova.core.workload.rates import rate_of

    first = [request.output_tokens for request in load.requests(100)]
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return workers_for(rate_of(load), sum(first) / max(1, len(first)), cpus, stream=stream)


def _prompts_of(aim: Aim, how: How, load: Load, tokenizer: Tokenizer | None) -> tuple[Prompts, tuple[str, ...]]:
    """Return where prompts come from, after one request that shows that they can be sent; and notes on lengths."""
    from enova.core.workload.prompts import Prompts
    from enova.core.workload.sources import kinds_of
    from enova.core.workload.words import WORDS

    notes: list[str] = []
    texts = {
        getattr(kind, "name", ""): recording.texts
        for kind in kinds_of(load.injection)
        if (recording := load.recordings.get(kind.dataset or "")) is not None and recording.texts is not None
    }
    prompts = Prompts(seed=load.seed, ids=_ids_of(aim), texts=texts)
    if how.api == "chat":
        words, between = tokenizer.words() if tokenizer else ((), " ")
        prompts = replace(prompts, words=words or WORDS, between=between)
        if not words:
            notes.append("prompt lengths are estimates: the model's tokenizer is not at hand (--tokenizer)")
    if any(recording.estimated for recording in load.recordings.values()):
        notes.append("prompts without prompt_tokens were counted as 4 bytes a token")
    overhead = _overhead_of(aim, how, prompts)
    return replace(prompts, overhead_tokens=overhead if how.api == "chat" else 0), tuple(notes)


def _tokenizer_of(aim: Aim, how: How) -> Tokenizer | None:
    """Return the model's tokenizer, if it is here; one that was named must be."""
    from enova.adapters.tokenizer import tokenizer_of

    found = tokenizer_of(how.tokenizer or aim.service.model.id)
    if how.tokenizer is not None and found is None:
        raise UsageError(
            f"--tokenizer: there is no tokenizer at {how.tokenizer}",
            hint="name a folder with tokenizer.json, or a model in the Hugging Face cache; enova[tokenizer]",
        )
    return found


def _counted(load: Load, tokenizer: Tokenizer) -> Load:
    """Return the load with the lengths of its datasets' prompts counted, where they were estimated."""
    import numpy as np

    counted = {
        file: replace(recording, prompt_tokens=np.maximum(1, tokenizer.count(recording.texts)), estimated=False)
        for file, recording in load.recordings.items()
        if recording.estimated and recording.texts is not None
    }
    return replace(load, recordings={**load.recordings, **counted})


def _overhead_of(aim: Aim, how: How, prompts: Prompts) -> int:
    """Ask once, and return how many tokens the server puts around a prompt."""
    from enova.adapters.endpoint import prompt_tokens_of
    from enova.adapters.injector import PATHS
    from enova.core.workload.request import Request

    asked = 8
    prompt = prompts.of(Request(0, 0.0, asked, 1))
    said = {"messages": [{"role": "user", "content": prompt}]} if how.api == "chat" else {"prompt": prompt}
    body = {"model": how.model or aim.endpoint.models[0], **said}
    if not aim.answers:
        return 0
    tokens = prompt_tokens_of(aim.endpoint.url, aim.key, PATHS[how.api], body, how.deadline_s)
    return max(0, tokens - asked)


def _ids_of(aim: Aim) -> tuple[int, int]:
    """Return between which token ids prompts are drawn: within the model's vocabulary where that is known."""
    if isinstance(aim.runs, str):
        return (10, 250)
    return (10, max(250, min(FEW_IDS, aim.runs.question.model.vocab_size // 2)))


def _tested(aim: Aim) -> Tested | None:
    from enova.core.workload.report import Tested

    version = aim.endpoint.vllm
    if isinstance(aim.runs, str) or version is None or not version[:1].isdigit():
        return None
    return Tested(
        model=aim.service.model.id, gpu=aim.runs.shape.pool.gpu.name, vllm=version, replicas=aim.replicas
    )


Show = Callable[["Tally"], None]
Say = Callable[[str], None]


@contextmanager
def _progress(session: Session, run: Prepared, color: str) -> Iterator[tuple[Show, Say]]:
    """Yield what shows how a run goes, a line that stays in its place on a terminal, and how to say more."""
    from enova.core.workload.rates import rate_of
    from enova.render.injecting import progress_line

    asked_per_s = rate_of(run.job.load)
    console = session.console(session.stderr, color)
    if not console.is_terminal or console.is_dumb_terminal or not session.stderr.isatty():
        said_s = 0.0

        def show(tally: Tally) -> None:
            nonlocal said_s
            so_far = tally.so_far()
            if so_far.at_s - said_s >= SAID_EVERY_S:
                said_s = so_far.at_s
                session.say(progress_line(so_far, asked_per_s))

        yield show, session.say
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, refresh_per_second=REFRESH_PER_S, transient=True) as live:
        yield (lambda tally: live.update(Text(progress_line(tally.so_far(), asked_per_s)))), console.print
