"""Finds out by its content what form measured data has, and reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from enova.adapters.measurements import aiconfigurator, inference_perf, injection_report, llmservingsim, start_up
from enova.adapters.measurements.table import header_of
from enova.core.accuracy.point import ServingPoint
from enova.core.accuracy.recorded_run import RecordedRun
from enova.core.accuracy.start_up import StartUp
from enova.core.workload.report import InjectionReport
from enova.errors import MeasurementError, Problem

FORMS = (
    "a table with aiconfigurator's or start-up columns, a folder of an LLMServingSim run, or an injection report"
)


@dataclass(slots=True)
class Measurements:
    """What was read, by form, in the order it was named."""

    points: list[ServingPoint] = field(default_factory=list)
    runs: list[RecordedRun] = field(default_factory=list)
    starts: list[StartUp] = field(default_factory=list)
    reports: list[tuple[str, InjectionReport]] = field(default_factory=list)
    """With the files they are in."""

    def __len__(self) -> int:
        return len(self.points) + len(self.runs) + len(self.starts) + len(self.reports)


def read_measurements(paths: Sequence[str]) -> Measurements:
    """Return all measurements in files and folders. In a folder, what is of no known form is passed over.

    Raises MeasurementError with every problem of every file; a named file of no known form is one.
    """
    found, problems = Measurements(), list[Problem]()
    for name in paths:
        path = Path(name)
        if not path.exists():
            problems.append(Problem(name, 0, 0, "", "no such file"))
        elif path.is_file() or _is_one(path):
            if not _read(path, found, problems):
                problems.append(Problem(name, 0, 0, "", "nothing that can be compared", f"what can: {FORMS}"))
        else:
            before = len(found), len(problems)
            for inner in _inside(path):
                _read(inner, found, problems)
            if (len(found), len(problems)) == before:
                problems.append(Problem(name, 0, 0, "", "a folder with nothing to compare", f"what can: {FORMS}"))
    if problems:
        raise MeasurementError(list(dict.fromkeys(problems)))
    return found


def _inside(folder: Path) -> Iterator[Path]:
    """Yield runs and files of a folder and those below it, sorted; files that belong to a run are not told."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file() or _is_one(path):
            yield path
        else:
            yield from _inside(path)


def _is_one(folder: Path) -> bool:
    """Return whether a folder is one set of measurements."""
    return llmservingsim.is_run(folder) or inference_perf.is_inference_perf(folder)


def _read(path: Path, found: Measurements, problems: list[Problem]) -> bool:
    """Read what is in a file or run; return False if it is of no known form."""
    if path.is_dir() and inference_perf.is_inference_perf(path):
        reports, wrong = inference_perf.read_inference_perf(path)
        found.reports += reports
    elif path.is_dir():
        run, wrong = llmservingsim.read_llmservingsim(path)
        found.runs += [run] if run else []
    elif injection_report.is_report(path):
        report, wrong = injection_report.read_report(path)
        found.reports += [(str(path), report)] if report else []
    else:
        header = header_of(path)
        if {"model_path", "isl", "osl"} <= set(header):
            points, wrong = aiconfigurator.read_aiconfigurator(path)
            found.points += points
        elif {"kv_cache_tokens", "max_model_len"} <= set(header):
            starts, wrong = start_up.read_start_ups(path)
            found.starts += starts
        else:
            return False
    problems += wrong
    return True
