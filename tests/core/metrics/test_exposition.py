from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from enova.core.metrics.exposition import MOST_LINES, Reader
from tests.core.metrics.real import PAGES, gateway_page, real

ROUTER = "router"
Sample = tuple[str, frozenset[tuple[str, str]]]


def meaning(name: str, labels: Mapping[str, str]) -> Sample:
    return name, frozenset(labels.items())


def reader(*wanted: str) -> Reader[Sample]:
    return Reader(frozenset(wanted), meaning)


def comparable(samples: list[tuple[Sample, float]]) -> list[tuple[Sample, str]]:
    # A number that is none equals nothing, itself included.
    return sorted(((sample, repr(float(value))) for sample, value in samples), key=repr)


def parsed(page: str, wanted: frozenset[str]) -> list[tuple[Sample, float]]:
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return [(meaning(one.name, one.labels), one.value) for one in samples if one.name in wanted]


@pytest.mark.parametrize("name", [*PAGES, ROUTER])
def test_real_pages_are_read_as_the_reference_parser_reads_them_first_and_again(name: str) -> None:
    page = gateway_page() if name == ROUTER else real(name)
    names = frozenset(s.name for family in text_string_to_metric_families(page) for s in family.samples)
    one = Reader(names, meaning)

    for _ in range(2):
        assert comparable(list(one.read(page))) == comparable(parsed(page, names))


NAMES = st.sampled_from(["up", "vllm:running", "ttft_bucket", "other_total"])
VALUES = st.one_of(
    st.floats().map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["+Inf", "-Inf", "NaN", "1e+3"]),
)
LABELS = st.dictionaries(
    st.sampled_from(["le", "engine", "a_b"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=8),
)


def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@st.composite
def lines(draw: st.DrawFn) -> str:
    labels = ",".join(f'{name}="{escaped(value)}"' for name, value in draw(LABELS).items())
    braces = draw(st.sampled_from(["{%s}", "{%s,}"])) % labels if labels else draw(st.sampled_from(["", "{}"]))
    stamp = draw(st.sampled_from(["", "", " 1795333933000"]))
    return f"{draw(NAMES)}{braces} {draw(VALUES)}{stamp}"


@settings(max_examples=50, deadline=None)
@given(st.lists(lines(), max_size=6))
def test_generated_pages_are_read_as_the_reference_parser_reads_them(page: list[str]) -> None:
    text = "".join(f"# HELP x said {line}\n{line}\n" for line in page)
    wanted = frozenset({"vllm:running", "ttft_bucket", "up"})
    one = Reader(wanted, meaning)

    for _ in range(2):
        assert comparable(list(one.read(text))) == comparable(parsed(text, wanted))


def test_an_exemplar_is_no_value() -> None:
    page = 'ttft_bucket{le="0.5"} 12 # {trace_id="a } b"} 0.43 1795333933.1\n'

    for _ in range(2):
        assert list(reader("ttft_bucket").read(page)) == [(meaning("ttft_bucket", {"le": "0.5"}), 12.0)]


def test_a_value_that_moves_on_is_read_anew_though_its_line_is_known() -> None:
    one = reader("up")

    assert [value for n in range(3) for _, value in one.read(f'up{{a="b c"}} {n}')] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    "line",
    ["up", "up ", "up{ 1", 'up{a="b} 1', "up{a=b} 1", 'up{a="b" c="d"} 1', "up one", "up 1 2 3", 'up{a="b c"}'],
)
def test_a_wanted_line_that_is_no_sample_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"^no (sample|number)"):
        list(reader("up").read(line))


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_text_that_is_no_page_says_nothing(text: str) -> None:
    assert list(reader("vllm:num_requests_running").read(text)) == []


def test_lines_that_never_come_again_do_not_stay() -> None:
    one = reader("up")
    for start in range(0, MOST_LINES * 2, MOST_LINES // 2):
        page = "".join(f"nobody_wants_{n} 1\n" for n in range(start, start + MOST_LINES // 2))
        assert list(one.read(f"{page}up 5\n")) == [(meaning("up", {}), 5.0)]
        assert len(one._known) <= MOST_LINES


def test_not_a_number_is_passed_on_as_it_is() -> None:
    ((_, value),) = reader("up").read("up NaN")

    assert math.isnan(value)
