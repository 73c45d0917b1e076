"""The report of a run says whether it was valid, what was measured, and how far off the forecast was."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from enova.core.inject.compare import compared
from enova.core.inject.outcome import Failure
from enova.core.inject.sweep import Tried
from enova.core.inject.tally import Tally
from enova.core.simulate.forecast import Conditions, run_of
from enova.core.simulate.results import Metric
from enova.core.workload.rates import at_rate
from enova.core.workload.report import InjectionReport
from enova.render.comparison import comparison_json, comparison_text
from enova.render.injecting import progress_line
from enova.render.injection import injection_text
from enova.render.injection_page import save_page, save_sweep
from enova.render.injections import injections_text
from enova.render.sweep import sweep_json, sweep_text
from tests.core.inject.runs import PROMISES, answered, batch, failed, load, report
from tests.core.simulate.test_capacity import EIGHT_AT_A_TIME

FORETOLD = run_of([EIGHT_AT_A_TIME], load(), Conditions(promises=PROMISES))


def lines(report: InjectionReport) -> list[str]:
    return [" ".join(line.split()) for line in injection_text(report).plain.splitlines()]


def test_a_run_fits_on_a_screen() -> None:
    assert lines(report()) == [
        "chat: m at http://127.0.0.1:8000, completions, h100-sxm, vLLM 0.32",
        "VALID",
        "traffic constant 10/s; prompts 100, answers 11",
        "sent 100 requests: 10.0/s, 100 % of the 10.0/s that were due",
        "schedule lag p50 0 ms, p99 0 ms, max 0 ms; 1 worker, 10 % of a core at most",
        "answered 100 requests in 10.2 s",
        "",
        "mean p50 p90 p95 p99 max",
        *["TTFT 100 ms 100 ms 100 ms 100 ms 100 ms 100 ms", "90 % " + " ".join(["100 ms - 100 ms"] * 5)],
        *["TPOT 20.0 ms 20.0 ms 20.0 ms 20.0 ms 20.0 ms 20.0 ms", "90 % " + " ".join(["20.0 ms - 20.0 ms"] * 5)],
        *["ITL 20.0 ms 20.0 ms 20.0 ms 20.0 ms 20.0 ms 20.0 ms", "90 % " + " ".join(["20.0 ms - 20.0 ms"] * 5)],
        *["E2E 300 ms 300 ms 300 ms 300 ms 300 ms 300 ms", "90 % " + " ".join(["300 ms - 300 ms"] * 5)],
        "",
        "predicted nothing: not asked for",
        "throughput 9.85 requests/s, 108 output tokens/s",
        "goodput 100 % of requests meet every target (100 % - 100 %)",
        "promise TTFT p95 100 ms, at most 200 ms: kept",
        "promise TPOT p95 20.0 ms, at most 50.0 ms: kept",
    ]


def test_what_was_predicted_stands_beneath_with_its_error() -> None:
    found = lines(report(predicted=FORETOLD, ttft_s=0.08))

    place = found.index(next(line for line in found if line.startswith("TTFT")))
    assert found[place + 2].startswith("predicted 30.6 ms 40.0 ms 40.0 ms")
    # The simulator has half of what was measured, and its band does not reach that.
    assert found[place + 3].startswith("error -62 %* -50 %* -50 %* -50 %* -50 %*")
    assert "predicted by step times that are roofline; * lies outside its band" in found


def test_a_broken_promise_and_an_invalid_run_are_called_that() -> None:
    found = lines(report(lag_s=0.15))

    assert found[1].startswith("INVALID: 1 % of the requests were sent 150 ms late or more")
    assert "promise TTFT p95 250 ms, at most 200 ms: BROKEN" in found
    # What a tool that counts from the send would have said.
    assert any(line.startswith("from send 100 ms") for line in found)


def test_failures_are_named_by_kind() -> None:
    tally = Tally(load(), Conditions())
    tally.add(batch(failed(one, "http_429" if one.number % 2 else Failure.RESET) for one in load().requests()))
    found = report().found.model_copy(update={"errors": dict(tally.measured().failures)})

    assert "failed 100: http_429 50, reset 50" in lines(report().model_copy(update={"found": found}))


def test_a_closed_loop_has_no_rate_that_was_asked_for() -> None:
    whole = report()
    assert whole.sent.delivery is not None
    closed = whole.sent.delivery.model_copy(update={"closed_loop": True, "max_in_flight": 4})
    sent = whole.sent.model_copy(update={"delivery": closed})

    assert "sent 100 requests in a closed loop, at most 4 in flight: 10.0/s" in lines(
        whole.model_copy(update={"sent": sent})
    )


def test_classes_have_tables_of_their_own() -> None:
    lengths = {name: {"distribution": "fixed", "tokens": 11} for name in ("prompt_tokens", "output_tokens")}
    mixed = load(
        classes=[{"name": name, "weight": 1, **lengths} for name in ("chat", "code")],
        prompt_tokens=None,
        output_tokens=None,
    )

    found = lines(report(mixed))

    assert sum(bool(re.match(r"(chat|code): \d+ answered, 100 % meet every target", line)) for line in found) == 2


def test_a_report_of_another_tool_says_what_it_has() -> None:
    bare = InjectionReport.model_validate(
        {
            "name": "bench.json",
            "sent": {"injection": {}, "requests": 10},
            "found": {"served": 10, "duration_s": 5.0, "ttft": {"mean": 0.1, "p99": 0.2}},
        }
    )

    assert lines(bare) == [
        "bench.json",
        "VALID",
        "traffic arrivals unknown; prompts as recorded, answers as recorded",
        "sent 10 requests",
        "answered 10 requests in 5.00 s",
        "",
        "mean p50 p90 p95 p99 max",
        "TTFT 100 ms 200 ms",
        "",
    ]


def test_progress_is_one_line() -> None:
    tally = Tally(load(), Conditions())
    requests = list(load().requests())
    tally.add(batch([*map(answered, requests[:40]), failed(requests[40])], at_s=5.0, sending=True, in_flight=2))

    assert progress_line(tally.so_far(), 10.0) == (
        "5 s: sent 41 (10.0/s asked), in flight 2, answered 40, failed 1 (reset 1), now 8.00/s, "
        "TTFT p50 100 ms p95 100 ms"
    )


def test_when_all_is_sent_the_last_answers_are_waited_for() -> None:
    tally = Tally(load(), Conditions())
    tally.add(batch([], at_s=10.5, sending=False, in_flight=1))

    assert progress_line(tally.so_far(), None) == (
        "10 s: sent 0, in flight 1, answered 0, now 0.00/s, TTFT p50 - p95 -, waiting for the last answers"
    )


def test_runs_are_listed_with_what_became_of_their_promises() -> None:
    invalid = report().model_copy(update={"problems": ("x",)})
    runs = [(1, 0.0, report()), (2, 86400.0, report(ttft_s=0.3)), (3, 86400.0, invalid)]

    found = [" ".join(line.split()) for line in injections_text(runs).plain.splitlines()]

    assert found == [
        "run ended (UTC) of requests sent/s failed TTFT p95 TPOT p95 E2E p95 is",
        "1 1970-01-01 00:00 chat 100 10.0 0 100 ms 20.0 ms 300 ms kept",
        "2 1970-01-02 00:00 chat 100 10.0 0 300 ms 20.0 ms 500 ms BROKEN",
        "3 1970-01-02 00:00 chat 100 10.0 0 100 ms 20.0 ms 300 ms INVALID",
    ]
    assert injections_text([]).plain == ""


def test_a_comparison_says_which_differences_are_more_than_noise() -> None:
    comparison = compared(report(), report(ttft_s=0.15))

    found = [" ".join(line.split()) for line in comparison_text(comparison, ("3", "4")).plain.splitlines()]

    assert found[:2] == ["A: 3", "B: 4"]
    assert "TTFT p95 100 ms 150 ms 1.500 worse" in found
    assert "TPOT p95 20.0 ms 20.0 ms 1.000 ~ within noise" in found
    assert found[-1].startswith("warning: both sent the very same requests")
    [row] = [row for row in comparison_json(comparison)["figures"] if row["figure"] == "ttft.p95"]
    assert (row["differs"], row["better"], round(row["ratio"], 3)) == (True, False, 1.5)


LATENCIES = "TTFT p95 TPOT p95 E2E p95"
TRIED = [Tried(10.0, report()), Tried(20.0, report(load(rate=20.0), ttft_s=0.3))]


def test_a_sweep_is_a_table_by_rate_and_the_highest_that_was_kept() -> None:
    found = [" ".join(line.split()) for line in sweep_text(TRIED, [(10.0, FORETOLD)]).plain.splitlines()]

    assert found == [
        f"rate sent/s {LATENCIES} tokens/s goodput TTFT p95 foretold TPOT p95 foretold E2E p95 foretold",
        "10.0/s 10.0 100 ms 20.0 ms 300 ms 108 100 % 40.0 ms 20.0 ms 240 ms kept",
        "20.0/s 20.0 300 ms 20.0 ms 500 ms 212 0 % - - - broken",
        "highest rate kept: 10.0/s; above it: ttft p95",
    ]


def test_a_sweep_without_a_forecast_has_no_columns_for_it() -> None:
    assert "foretold" not in sweep_text(TRIED).plain
    assert sweep_text([TRIED[1]]).plain.endswith("no rate that was tried keeps every promise\n")


def test_a_sweep_as_data_has_every_report() -> None:
    found = sweep_json(TRIED)

    assert (found["highest_rate"], found["limits"]) == (10.0, ["ttft p95"])
    assert [InjectionReport.model_validate(one["report"]) for one in found["tried"]] == [
        one.report for one in TRIED
    ]


class Links(HTMLParser):
    """Collects what a page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [tag] if tag in ("script", "link", "img", "iframe") else []
        for name, value in attributes:
            if name.rpartition(":")[2] in ("src", "href") and not (value or "").startswith("#"):
                self.found.append(value or "")


@pytest.mark.parametrize("predicted", ["nobody knows <it>", FORETOLD])
def test_a_page_opens_offline_and_has_all_of_it(tmp_path: Path, predicted: object) -> None:
    file = tmp_path / "run.html"
    whole = report(predicted=predicted)  # type: ignore[arg-type]

    save_page(whole, file)

    page, links = file.read_text(encoding="utf-8"), Links()
    links.feed(page)
    assert links.found == []
    assert page.count("<figure>") == 1
    assert "VALID" in page
    assert "nobody knows <it>" not in page


def test_a_sweeps_page_has_measured_and_predicted_in_the_same_pictures(tmp_path: Path) -> None:
    rates = (5.0, 10.0, 20.0)
    curve = [(rate, run_of([EIGHT_AT_A_TIME], at_rate(load(), rate), Conditions())) for rate in rates]

    save_sweep("chat", TRIED, curve, tmp_path / "sweep.html")

    page = (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert "Sweep of chat" in page
    assert curve[0][1].of(Metric.TTFT, "p95").value > 0


def test_a_sweep_of_a_server_without_delay_can_be_drawn(tmp_path: Path) -> None:
    tried = [Tried(10.0, report(ttft_s=0.0, tpot_s=0.0))]

    save_sweep("stub", tried, (), tmp_path / "sweep.html")

    assert (tmp_path / "sweep.html").exists()
