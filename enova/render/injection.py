"""The report of a run of load for people: was it what it was to be, what came of it, and what was foretold."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from rich.text import Text

from enova.core.workload.report import REPORTED, Figures, InjectionReport, Kept, Part, Predicted, Seen
from enova.render.forecast import rate, seconds
from enova.render.traffic import injection_parts

COLUMNS = ("mean", "p50", "p90", "p95", "p99", "max")
NAMES = {"ttft": "TTFT", "tpot": "TPOT", "itl": "ITL", "e2e": "E2E", "availability": "availability"}
APART, APART_S = 0.01, 0.005
"""From the send, latencies are shown too where they differ from those from the schedule by more than both."""


def injection_text(report: InjectionReport) -> Text:
    """Return one block."""
    text = Text()
    _headline(text, report)
    for index, words in enumerate(injection_parts(report.sent.injection)):
        _line(text, "" if index else "traffic", words)
    _sending(text, report)
    _answers(text, report)
    text.append("\n")
    _latencies(text, report)
    _rates(text, report)
    for promise in report.slo:
        text.append(f"  {'promise':<12}", "dim").append(f"{promise_words(promise)}: ")
        text.append("kept\n" if promise.kept else "BROKEN\n", "green" if promise.kept else "red")
    foretold = {} if report.predicted is None else report.predicted.classes
    for kind, part in report.found.classes.items():
        _class(text, kind, part, foretold.get(kind))
    for note in report.notes:
        text.append("  note: ", "cyan").append(f"{note}\n")
    return text


def promise_words(promise: Kept) -> str:
    """Return what was promised and what was measured: `TTFT p95 212 ms, at most 500 ms`."""
    if promise.metric == "availability":
        measured = "-" if promise.measured is None else share(promise.measured)
        return f"answered {measured}, at least {share(promise.target)}"
    measured = "-" if promise.measured is None else seconds(promise.measured)
    statistic = promise.statistic.replace("_", ".")
    return f"{NAMES[promise.metric]} {statistic} {measured}, at most {seconds(promise.target)}"


def share(value: float) -> str:
    """Return a share of something in per cent."""
    return f"{100 * value:.4g} %"


def _headline(text: Text, report: InjectionReport) -> None:
    asked, tested = report.asked, report.tested
    text.append(report.name or "a run", "bold")
    if asked is not None:
        text.append(f": {asked.model} at {asked.url}, {asked.api}" + ("" if asked.stream else ", not streamed"))
    if tested is not None:
        many = f"{tested.replicas} replicas on " if tested.replicas > 1 else ""
        text.append(f", {many}{tested.gpu}, vLLM {tested.vllm}")
    if asked is not None and asked.emulated:
        text.append(" EMULATED", "yellow")
    text.append("\n")
    if report.valid:
        text.append("  VALID\n", "green")
    for problem in report.problems:
        text.append("  INVALID", "bold red").append(f": {problem}\n")


def _sending(text: Text, report: InjectionReport) -> None:
    delivery = report.sent.delivery
    if delivery is None:
        _line(text, "sent", f"{report.sent.requests:,} requests")
        return
    words = f"{report.sent.requests:,} requests"
    if delivery.closed_loop:
        limit = f", at most {delivery.max_in_flight:,} in flight" if delivery.max_in_flight else ""
        words += f" in a closed loop{limit}: {rate(delivery.achieved_per_s)}/s"
    else:
        words += f": {rate(delivery.achieved_per_s)}/s, {share(delivery.achieved_share)} of the "
        words += f"{rate(delivery.asked_per_s)}/s that were due"
    _line(text, "sent", words)
    lag = delivery.lag
    if lag.p50 is not None and lag.p99 is not None and lag.max is not None:
        late = f"p50 {seconds(lag.p50)}, p99 {seconds(lag.p99)}, max {seconds(lag.max)}"
        many = f"{delivery.workers} worker{'s' if delivery.workers > 1 else ''}"
        _line(text, "schedule lag", f"{late}; {many}, {share(round(delivery.cpu_share, 3))} of a core at most")


def _answers(text: Text, report: InjectionReport) -> None:
    found, warmup_s = report.found, report.sent.warmup_s
    words = f"{found.served:,} requests in {seconds(found.duration_s)}"
    _line(text, "answered", words + (f", after {seconds(warmup_s)} of warm-up" if warmup_s else ""))
    if found.errors:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in found.errors.items())
        text.append(f"  {'failed':<12}", "dim").append(f"{sum(found.errors.values()):,}: {kinds}\n", "red")


def _latencies(text: Text, report: InjectionReport) -> None:
    """Measured with its ends, and beneath it what was predicted, how far off that was, and what a send says."""
    seen = report.found.seen
    rows = [["", *COLUMNS]]
    for metric in REPORTED:
        measured: Seen = getattr(seen, metric)
        if measured.mean is None and not measured.figures():
            continue
        rows.append([NAMES[metric], *_cells(measured)])
        rows.append(["  90 %", *_ends(measured)])
        if report.predicted is not None:
            rows += _foretold(measured, getattr(report.predicted, metric))
        sent: Seen = getattr(report.found, metric)
        if report.found.from_schedule is not None and _apart(measured, sent):
            rows.append(["  from send", *_cells(sent)])
    _table(text, [row for row in rows if any(row[1:])])
    if report.not_predicted:
        _line(text, "predicted", f"nothing: {report.not_predicted}")
    elif report.predicted is not None:
        _line(text, "predicted", f"by step times that are {report.predicted.basis}; * lies outside its band")


def _foretold(measured: Seen, predicted: Seen) -> Iterator[list[str]]:
    """Yield the rows of what was predicted, and of how far the truth is from it."""
    yield ["  predicted", *_cells(predicted)]
    errors = [_error(measured, predicted, column) for column in COLUMNS]
    yield ["  error", *errors]


def _error(measured: Seen, predicted: Seen, column: str) -> str:
    """Return predicted over measured; a star says that the truth lies outside the band."""
    value, foretold = getattr(measured, column), getattr(predicted, column)
    if not value or foretold is None:
        return ""
    low, high = predicted.ends.get(column, (value, value))
    return f"{100 * (foretold / value - 1):+.0f} %{'' if low <= value <= high else '*'}"


def _apart(measured: Seen, sent: Seen) -> bool:
    pairs = ((getattr(measured, column), getattr(sent, column)) for column in COLUMNS)
    known = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
    return any(abs(ours - theirs) > max(APART * ours, APART_S) for ours, theirs in known)


def _cells(seen: Seen) -> list[str]:
    values = (getattr(seen, column) for column in COLUMNS)
    return ["" if value is None else seconds(value) for value in values]


def _ends(seen: Seen) -> list[str]:
    found = (seen.ends.get(column) for column in COLUMNS)
    return ["" if ends is None else f"{seconds(ends[0])} - {seconds(ends[1])}" for ends in found]


def _rates(text: Text, report: InjectionReport) -> None:
    found, predicted = report.found.seen, report.predicted
    names = {"requests_per_s": "requests/s", "output_tokens_per_s": "output tokens/s"}
    parts = [
        f"{rate(value)} {words}{_beside(predicted, name)}"
        for name, words in names.items()
        if (value := getattr(found, name)) is not None
    ]
    if parts:
        _line(text, "throughput", ", ".join(parts))
    if found.goodput is not None:
        ends = found.ends.get("goodput")
        span = f" ({share(ends[0])} - {share(ends[1])})" if ends else ""
        foretold = f", {share(predicted.goodput)} predicted" if predicted and predicted.goodput is not None else ""
        _line(text, "goodput", f"{share(found.goodput)} of requests meet every target{span}{foretold}")


def _beside(predicted: Predicted | None, name: str) -> str:
    value = None if predicted is None else getattr(predicted, name)
    return "" if value is None else f" ({rate(value)} predicted)"


def _class(text: Text, kind: str, part: Part, foretold: Part | None) -> None:
    good = "" if part.goodput is None else f", {share(part.goodput)} meet every target"
    failed = f", {part.failed:,} failed" if part.failed else ""
    text.append(f"  {kind}", "bold").append(f": {part.served:,} answered{failed}{good}\n")
    _table(text, [["", *COLUMNS], *_rows(part, foretold)])


def _rows(measured: Figures, foretold: Figures | None) -> Iterator[list[str]]:
    for metric in REPORTED:
        seen: Seen = getattr(measured, metric)
        if seen.mean is not None:
            yield [NAMES[metric], *_cells(seen)]
            if foretold is not None:
                yield ["  predicted", *_cells(getattr(foretold, metric))]


def _line(text: Text, name: str, words: str) -> None:
    text.append(f"  {name:<12}", "dim").append(f" {words}\n" if len(name) >= 12 else f"{words}\n")


def _table(text: Text, rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = chain([row[0].ljust(widths[0])], map(str.rjust, row[1:], widths[1:]))
        dim = not row[0] or row[0].startswith(" ")
        text.append(f"    {'  '.join(cells)}".rstrip() + "\n", "dim" if dim else "")
    text.append("\n")
