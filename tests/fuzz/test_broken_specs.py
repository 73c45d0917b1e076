"""Broken specs, by the thousand: no traceback, and every problem at a place inside its file.

`ENOVA_FUZZ_EXAMPLES=10000` sets how many there are of all kinds together; the default keeps test runs short.
A mutation that leaves a spec valid does not count.
"""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from enova.adapters.specfiles import load
from enova.errors import Problem, SpecError
from enova.render import problems as render

EXAMPLES = int(os.environ.get("ENOVA_FUZZ_EXAMPLES", "300"))
SPECS = [path.read_text(encoding="utf-8") for path in sorted((Path(__file__).parents[2] / "specs").glob("*.yaml"))]
DOCUMENTS = [json.dumps(document) for text in SPECS for document in YAML(typ="safe").load_all(text)]
KINDS = 4

fuzz = settings(
    max_examples=max(1, -(-EXAMPLES // KINDS)),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

PIECES = st.sampled_from(
    [
        "\t", "\n", " ", ":", ": ", "- ", "[", "]", "{", "}", "'", '"', "#", "&a ", "*a", "!", "!!set ", "? ",
        "|", ">", "%", "@", "`", "---\n", "...\n", "<<: ", "~", "null", "true", "no", "0", "-1", "1e999", ".nan",
        "9" * 50, "\x00", "\ufeff", "\u2028", "\ud7ff", "😀", "\r", "\\", "\\x", "500ms", "5/s", "2026-01-01",
    ]
)  # fmt: skip
ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(["500ms", "20/s", "16GiB", "12 USD/h", "99.9%", "a/b", "./x", "auto", ""]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.integers(), max_size=3),
)
ODD_KEYS = st.one_of(st.sampled_from(["engine", "min", "x-y", "p95", "env", "<<", "token"]), st.text(max_size=12))

ENCODINGS = st.sampled_from(["utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-8-sig", "cp500"])


def check(raw: bytes) -> tuple[Problem, ...]:
    """Load it, and hold what is promised of every problem."""
    try:
        load(["-"], stdin=raw)
    except SpecError as error:
        found = error.problems
    else:
        return ()
    assert found
    lines = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for problem in found:
        assert problem.file == "<stdin>"
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.message != "is not valid here", problem
        assert "pydantic" not in str(problem)
        assert "\n" not in str(problem)
    json.loads(render.as_json(found))
    assert len(render.as_github(found).split("\n")) == len(found)
    return found


@st.composite
def mutated_text(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(SPECS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(PIECES) * draw(st.integers(0, 3)) + text[end:]
    return text


@st.composite
def mutated_data(draw: st.DrawFn) -> Any:
    """One document of an example with values replaced, keys added, renamed and removed."""
    data = json.loads(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 4))):
        owner = data
        while True:
            inner = [value for value in _values(owner) if isinstance(value, (dict, list)) and value]
            if not inner or draw(st.booleans()):
                break
            owner = draw(st.sampled_from(inner))
        if isinstance(owner, list):
            owner[draw(st.integers(0, len(owner) - 1))] = draw(ODD_VALUES)
            continue
        key = draw(st.one_of(st.sampled_from(sorted(owner)), ODD_KEYS)) if owner else draw(ODD_KEYS)
        if draw(st.booleans()):
            owner[key] = draw(ODD_VALUES)
        else:
            owner.pop(key, None)
    return data


def _values(owner: Any) -> list[Any]:
    return list(owner.values()) if isinstance(owner, dict) else list(owner)


@fuzz
@given(mutated_text())
def test_text_with_pieces_cut_and_put_in(text: str) -> None:
    assume(check(text.encode("utf-8", "surrogatepass")))


@fuzz
@given(mutated_data(), st.sampled_from([None, False, True]))
def test_valid_yaml_with_wrong_data(data: Any, flow: bool | None) -> None:
    yaml = YAML(typ="safe")
    yaml.default_flow_style = flow
    out = StringIO()
    yaml.dump(data, out)

    assume(check(out.getvalue().encode("utf-8", "surrogatepass")))


@fuzz
@given(st.binary(max_size=400))
def test_bytes_that_mean_nothing(raw: bytes) -> None:
    assert check(raw)


@fuzz
@given(st.sampled_from(SPECS), ENCODINGS, st.integers(0, 600), st.text(max_size=5))
def test_other_encodings_and_cut_files(text: str, encoding: str, end: int, more: str) -> None:
    assume(check((text[:end] + more).encode(encoding, "replace")))


@pytest.mark.parametrize("size", [10_000_000])
def test_a_file_of_10_mb(size: int) -> None:
    assert check(b"a" * size)[0].message == "is too large: more than 1 MiB"
