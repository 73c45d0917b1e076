"""Cost against latency, as a picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from enova.core.recommend.recommendation import Outcome, Point
from enova.errors import UsageError
from enova.render.pareto import draw_pareto, front_of
from tests.core.recommend.asking import pool, question, recommended, service

FOUND: Outcome = recommended(question(service(), pool("l4"), pool("l40s"), pool("h100-sxm")))
UNTRIED: Outcome = recommended(question(service(injection=None)))


def point(usd_per_h: float, high_s: float) -> Point:
    return Point("l4", 1, usd_per_h, "ttft.p95", high_s / 2, high_s, True)


def test_what_another_beats_in_cost_and_in_latency_is_not_in_front() -> None:
    cheap, fast, beaten, dearer = point(1, 0.9), point(3, 0.2), point(2, 0.95), point(4, 0.2)

    assert front_of([dearer, beaten, fast, cheap]) == [cheap, fast]


def test_of_two_that_cost_the_same_the_faster_is_in_front() -> None:
    assert front_of([point(1, 0.9), point(1, 0.4)]) == [point(1, 0.4)]


@pytest.mark.parametrize(
    ("suffix", "begins"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".html", b"<!doctype html")]
)
def test_the_suffix_says_what_is_written(tmp_path: Path, suffix: str, begins: bytes) -> None:
    file = tmp_path / f"pareto{suffix}"

    draw_pareto({"chat": FOUND}, file)

    assert file.read_bytes()[: len(begins)].lower() == begins.lower()


def test_a_page_escapes_names_and_holds_the_table(tmp_path: Path) -> None:
    file = tmp_path / "pareto.html"

    draw_pareto({"<b>": FOUND}, file)

    page = file.read_text(encoding="utf-8")
    assert "<h2>&lt;b&gt;</h2>" in page
    assert "\nl40s             1  0.79  chosen\n" in page


def test_where_nothing_was_tried_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        draw_pareto({"chat": UNTRIED}, tmp_path / "pareto.svg")

    assert (raised.value.message, raised.value.hint) == (
        "there is nothing to draw: no way was tried",
        "say what traffic comes, in injection",
    )
    assert list(tmp_path.iterdir()) == []
