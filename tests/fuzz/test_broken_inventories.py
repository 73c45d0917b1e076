"""Broken inventories: no traceback, and every problem at a place inside its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enova.adapters.facts import gpu_cards
from enova.adapters.specfiles import read_inventory
from enova.errors import InventoryError
from tests.fuzz.test_broken_specs import EXAMPLES, KINDS, ODD_KEYS, ODD_VALUES, PIECES

CARDS = gpu_cards()
TEXT = (
    "hosts:\n"
    "  - {name: gpu-1, gpu: H100, count: 8, price: 2.10 USD/h}\n"
    "  - {name: old, gpu: L40S, count: 2, memory: 44GiB}\n"
    "rentable:\n"
    "  - {gpu: h200-sxm, price: 3.59 USD/h, per_host: 8, hosts: 4}\n"
)
DATA = {
    "hosts": [{"name": "gpu-1", "gpu": "H100", "count": 8, "price": "2.10 USD/h"}],
    "rentable": [{"gpu": "h200-sxm", "price": "3.59 USD/h", "per_host": 8, "hosts": 4}],
}

fuzz = settings(
    max_examples=max(1, -(-EXAMPLES // KINDS)),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inventory.yaml"


def check(path: Path, raw: bytes) -> None:
    """Read it, and hold what is promised of every problem."""
    path.write_bytes(raw)
    try:
        read_inventory(path, CARDS)
    except InventoryError as error:
        found = error.problems
    else:
        return
    assert found
    lines = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for problem in found:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
        assert problem.message != "is not valid here", problem
        assert "\n" not in str(problem)


@st.composite
def mutated_text(draw: st.DrawFn) -> str:
    text = TEXT
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(PIECES) * draw(st.integers(0, 3)) + text[end:]
    return text


@st.composite
def mutated_data(draw: st.DrawFn) -> Any:
    data = json.loads(json.dumps(DATA))
    owner = draw(st.sampled_from([data, data["hosts"][0], data["rentable"][0]]))
    for _ in range(draw(st.integers(1, 3))):
        owner[draw(st.one_of(st.sampled_from([*owner, "x"]), ODD_KEYS))] = draw(ODD_VALUES)
    return data


@fuzz
@given(mutated_text())
def test_text_with_pieces_cut_and_put_in(path: Path, text: str) -> None:
    check(path, text.encode("utf-8", "surrogatepass"))


@fuzz
@given(mutated_data())
def test_yaml_with_wrong_data(path: Path, data: Any) -> None:
    check(path, json.dumps(data).encode("utf-8", "surrogatepass"))


@fuzz
@given(st.binary(max_size=400))
def test_bytes_that_mean_nothing(path: Path, raw: bytes) -> None:
    check(path, raw)
