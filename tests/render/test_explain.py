"""What was considered, for people and as data."""

from __future__ import annotations

import json

from enova.core.inventory import inventory_of
from enova.core.recommend.recommendation import Outcome
from enova.render.explain import explain_text, explained_as_data
from tests.core.recommend.asking import infeasible, pool, question, recommended, service

FOUND: Outcome = recommended(question(service()))
RENTABLE = inventory_of([pool("h100-sxm", per_host=8)])
NONE: Outcome = infeasible(question(service(slo={"tpot": {"p95": "10ms"}}), pool("l40s")), RENTABLE)


def test_every_way_has_its_line_the_chosen_one_first() -> None:
    assert explain_text({"chat": FOUND}).plain == (
        "chat: what was considered\n"
        "WAY     REPLICAS   $/H  VERDICT\n"
        "l4 TP2         1  1.60  chosen\n"
        "l4 TP4         -  3.20  costs more at best\n"
        "l4             -  4.80  costs more at best\n"
        "l4 TP8         -     -  its 28 attention heads cannot be shared by 8 GPUs\n"
        "\n"
    )


def test_where_nothing_will_do_it_ends_with_what_binds_and_the_nearest_ways_out() -> None:
    lines = explain_text({"code": NONE}).plain.splitlines()

    assert lines[3:] == [
        "infeasible: the closest there is, 2 x l40s: tpot.p95 up to 25.8 ms, promised 10 ms",
        "  nearest: slo.tpot.p95: 26ms (2 x l40s)",
        "  nearest: placement.gpu_types: h100-sxm (1 x h100-sxm at 2.69 USD/h)",
        "",
    ]


def test_services_come_by_name() -> None:
    text = explain_text({"code": NONE, "chat": FOUND}).plain

    assert text.index("chat: what") < text.index("code: what")


def test_data_holds_the_same_and_what_was_tried() -> None:
    data = json.loads(json.dumps(explained_as_data({"chat": FOUND, "code": NONE}), allow_nan=False))

    assert list(data) == ["chat", "code"]
    assert data["chat"]["ways"][0] == {"words": "l4 TP2", "replicas": 1, "usd_per_h": 1.6, "verdict": "chosen"}
    assert (data["chat"]["infeasible"], data["chat"]["nearest"]) == (None, [])
    assert data["code"]["infeasible"].startswith("the closest there is, 2 x l40s: ")
    assert data["code"]["nearest"][1] == {
        "field": "placement.gpu_types",
        "value": "h100-sxm",
        "words": "1 x h100-sxm at 2.69 USD/h",
    }
    [point] = data["chat"]["tried"]
    assert (point["words"], point["replicas"], point["usd_per_h"], point["latency"], point["kept"]) == (
        "l4 TP2",
        1,
        1.6,
        "tpot.p95",
        True,
    )


def test_nothing_considered_is_nothing_told() -> None:
    assert (explain_text({}).plain, explained_as_data({})) == ("", {})
