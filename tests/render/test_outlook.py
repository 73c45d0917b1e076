"""What a plan changes for users, as lines of a plan, as Markdown for a pull request, and as data."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from rich.text import Text

from enova.core.forecast import Expected, Forecast
from enova.core.forecast_data import forecast_in
from enova.core.outlook import Outlook
from enova.core.plan import Action, Plan, Verb
from enova.core.resolve import Resolved, resolve
from enova.core.simulate.promises import Promise, Verdict
from enova.core.simulate.results import Band, Figure, Metric
from enova.render.outlook import (
    closing,
    outlook_as_data,
    outlook_markdown,
    outlook_text,
    rows_of,
    total_as_data,
    total_text,
)
from enova.render.plan import plan_markdown, plan_text
from tests.core.forecasts import figure, forecast
from tests.core.recommend.asking import service

CHOSEN = {"engine.max_num_seqs": 64, "gpu": "h100-sxm", "replicas": 2}
WHY = {"gpu": "the cheapest that will do", "engine.max_num_seqs": "with more, steps take longer"}


def resolved() -> Resolved:
    return resolve(service(), CHOSEN, WHY)


def shown(outlook: Outlook) -> str:
    text = Text()
    outlook_text(text, outlook, resolved())
    return text.plain


def promised(verdict: Verdict, value: Figure | None = None) -> Forecast:
    promise = Promise(Metric.TTFT, "p95", 0.5)
    one = Expected(promise=promise, figure=value or figure(0.2), verdict=verdict)
    share = {"goodput.share": Figure(0.98, Band(0.95, 1.0)), "goodput.per_s": figure(9.8)}
    figures = {"ttft.p95": value or figure(0.2), "tpot.p50": figure(0.02), "requests_per_s": figure(10.0)}
    return forecast(expected=(one,), figures=dict(sorted((figures | share).items())))


FRESH = Outlook(
    service="chat",
    after=promised(Verdict.LIKELY),
    fresh=True,
    pins={"scaling.min": "2 costs 2.69 USD/h more than 1 x h100-sxm"},
    max_tokens={"chat": 128, "code": 512},
    rollout_s=90.0,
)


def test_a_service_that_does_not_run_yet_as_text() -> None:
    assert shown(FRESH) == (
        "  engine.max_num_seqs: 64 (recommended: with more, steps take longer)\n"
        "  gpu: h100-sxm (recommended: the cheapest that will do)\n"
        "  replicas: 2 (recommended)\n"
        "  scaling.min is pinned: 2 costs 2.69 USD/h more than 1 x h100-sxm\n"
        "  max_tokens to ask for: chat: 128, code: 512 (holds 99 % of answers; nothing enforces it)\n"
        "  forecast under poisson 2/s; step times: roofline; bands hold 90 % of cases\n"
        "                     now       after  band               promised\n"
        "    TTFT p95           -      200 ms  160 ms - 250 ms    500 ms: likely\n"
        "    TPOT p50           -     20.0 ms  16.0 ms - 25.0 ms\n"
        "    goodput            -      98.0 %  95 - 100 %\n"
        "    requests/s         -        10.0  8.00 - 12.5\n"
        "    busy               -         60%\n"
        "    KV cache in use    -         30%\n"
        "    GPUs               -  2 h100-sxm\n"
        "    $/h                -        5.98\n"
        "    $/1M tokens        -        1.66\n"
        "  takes about 90.0 s once image and weights are there; no request is interrupted\n"
    )


def test_now_and_after_stand_side_by_side() -> None:
    before = forecast(
        gpu="l40s", gpus=4, figures={"ttft.p95": figure(0.9), "requests_per_s": figure(8.0)}, usd_per_h=None
    )

    rows = {
        row.name: (row.now, row.after) for row in rows_of(Outlook(service="chat", now=before, after=FRESH.after))
    }

    assert rows == {
        "TTFT p95": ("900 ms", "200 ms"),
        "TPOT p50": ("-", "20.0 ms"),
        "goodput": ("-", "98.0 %"),
        "requests/s": ("8.00", "10.0"),
        "busy": ("60%", "60%"),
        "KV cache in use": ("30%", "30%"),
        "GPUs": ("4 l40s", "2 h100-sxm"),
        "$/h": ("unknown", "5.98"),
        "$/1M tokens": ("1.66", "1.66"),
    }


def test_what_nobody_knows_is_a_dash_and_not_a_zero() -> None:
    unknown = Figure(math.nan, Band(math.nan, math.nan))
    after = forecast(figures={"ttft.p95": unknown, "requests_per_s": unknown}, kv_use=math.nan, usd_per_h=None)

    rows = {row.name: (row.after, row.band) for row in rows_of(Outlook(service="chat", after=after))}

    assert (rows["TTFT p95"], rows["KV cache in use"], rows["$/h"]) == (("-", "- - -"), ("-", ""), ("unknown", ""))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "no request is interrupted"),
        ({"now_words": "could not look"}, "now: could not look; no request is interrupted"),
        (
            {"now": forecast(), "rollout_s": 300.0, "interruptions": ("chat: no replica serves", "gateway away")},
            "takes about 300 s once image and weights are there; chat: no replica serves; gateway away",
        ),
    ],
    ids=["nothing runs", "unknown", "interrupted"],
)
def test_how_long_it_takes_and_what_users_notice(changes: dict[str, Any], words: str) -> None:
    assert closing(Outlook(service="chat", after=forecast(), **changes)) == words


@pytest.mark.parametrize(
    ("outlooks", "line"),
    [
        ([], ""),
        ([Outlook(service="chat")], ""),
        (
            [FRESH],
            "Forecast: 0.00 $/h -> 5.98 $/h, 0 -> 2 GPUs, 1 of 1 services keep their promises",
        ),
        (
            [FRESH, Outlook(service="code", now=forecast(gpus=3), after=promised(Verdict.BROKEN))],
            "Forecast: 5.98 $/h -> 11.96 $/h, 3 -> 4 GPUs, 1 of 2 services keep their promises",
        ),
        (
            [Outlook(service="chat", after=forecast(usd_per_h=None, expected=()))],
            "Forecast: 0.00 $/h -> unknown $/h, 0 -> 2 GPUs",
        ),
    ],
    ids=["nothing", "not forecast", "one", "two", "no price"],
)
def test_services_add_up_in_one_line(outlooks: list[Outlook], line: str) -> None:
    assert total_text(outlooks) == line


def test_a_service_in_markdown() -> None:
    assert outlook_markdown(FRESH, resolved()) == [
        "**chat**",
        "",
        "- engine.max_num_seqs: 64 (recommended: with more, steps take longer)",
        "- gpu: h100-sxm (recommended: the cheapest that will do)",
        "- replicas: 2 (recommended)",
        "- scaling.min is pinned: 2 costs 2.69 USD/h more than 1 x h100-sxm",
        "- max_tokens to ask for: chat: 128, code: 512 (holds 99 % of answers; nothing enforces it)",
        "",
        "Forecast under poisson 2/s; step times: roofline; bands hold 90 % of cases",
        "",
        "| | now | after | band | promised |",
        "|---|---|---|---|---|",
        "| TTFT p95 | - | 200 ms | 160 ms - 250 ms | 500 ms: likely |",
        "| TPOT p50 | - | 20.0 ms | 16.0 ms - 25.0 ms |  |",
        "| goodput | - | 98.0 % | 95 - 100 % |  |",
        "| requests/s | - | 10.0 | 8.00 - 12.5 |  |",
        "| busy | - | 60% |  |  |",
        "| KV cache in use | - | 30% |  |  |",
        "| GPUs | - | 2 h100-sxm |  |  |",
        "| $/h | - | 5.98 |  |  |",
        "| $/1M tokens | - | 1.66 |  |  |",
        "",
        "takes about 90.0 s once image and weights are there; no request is interrupted",
        "",
    ]


def test_data_holds_both_forecasts_or_why_there_is_none() -> None:
    data = json.loads(json.dumps(outlook_as_data(FRESH), allow_nan=False))

    assert forecast_in(data.pop("after")).figures == FRESH.after.figures  # type: ignore[union-attr]
    assert data == {
        "now": None,
        "now_unknown": "nothing runs",
        "fresh": True,
        "pins": {"scaling.min": "2 costs 2.69 USD/h more than 1 x h100-sxm"},
        "max_tokens": {"chat": 128, "code": 512},
        "rollout_s": 90.0,
        "interruptions": [],
    }
    assert total_as_data([FRESH]) == {
        "now": {"usd_per_h": 0.0, "gpus": 0},
        "after": {"usd_per_h": 5.98, "gpus": 2},
    }


CREATE = Action(verb=Verb.CREATE, target="chat#0", service="chat", cause="not found", wave=0)
KEPT = Outlook(service="chat", now=forecast(), after=forecast())


@pytest.mark.parametrize(
    ("plan", "outlook", "verbose", "told"),
    [
        (Plan(actions=(CREATE,)), KEPT, False, True),
        (Plan(), KEPT, False, False),
        (Plan(), FRESH, False, True),
        (Plan(), KEPT, True, True),
    ],
    ids=["changes", "in sync", "chosen anew", "verbose"],
)
def test_a_forecast_is_told_of_what_changes_unless_all_is_asked_for(
    plan: Plan, outlook: Outlook, verbose: bool, told: bool
) -> None:
    text = plan_text(plan, [resolved()], [outlook], verbose=verbose).plain

    assert ("forecast under" in text, "Forecast: " in text) == (told, told)


def test_markdown_tells_of_what_changes_and_sums_up_all() -> None:
    changed, same = (plan_markdown(plan, [resolved()], [KEPT]) for plan in (Plan(actions=(CREATE,)), Plan()))

    assert ("**chat**" in changed, "**chat**" in same) == (True, False)
    assert "Forecast: 5.98 $/h -&gt; 5.98 $/h, 2 -&gt; 2 GPUs, 1 of 1 services keep their promises" in changed
