"""Recorded rates, without the requests themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from enova.adapters.traces import is_of_rates, read_rates
from enova.errors import RecordingError


def file(folder: Path, text: str, name: str = "rates.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def said(path: str) -> list[str]:
    with pytest.raises(RecordingError) as raised:
        read_rates(path)
    return [str(problem).rpartition("/")[2] for problem in raised.value.problems]


def test_times_count_from_the_first(tmp_path: Path) -> None:
    path = file(tmp_path, "t_s,rate_rps,active_clients\n600,2.5,4\n1200,3,5\n")

    assert is_of_rates(path)
    assert read_rates(path) == ((0.0, 2.5), (600.0, 3.0))


def test_json_lines_do_as_well(tmp_path: Path) -> None:
    path = file(tmp_path, '{"timestamp": 0, "rate": 1}\n{"timestamp": 60, "rate": 2}\n', "rates.jsonl")

    assert read_rates(path) == ((0.0, 1.0), (60.0, 2.0))


def test_requests_are_no_rates(tmp_path: Path) -> None:
    assert not is_of_rates(file(tmp_path, "timestamp,prompt_tokens,output_tokens\n0,1,1\n"))
    assert not is_of_rates(str(tmp_path / "absent.csv"))


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    found = said(file(tmp_path, "t_s,rate_rps\n0,1\n0,2\n60,-1\n120,many\n,3\n180,nan\n"))

    assert [line.partition(":")[2].partition(":")[0] for line in found] == ["3", "4", "5", "6", "7"]
    assert "does not come after 0" in found[0]
    assert all("is not a number of at least 0" in line for line in found[1:])


@pytest.mark.parametrize("text", ["t_s,rate_rps\n", "t_s,rate_rps\n0,1\n"])
def test_fewer_than_two_rates_are_none(tmp_path: Path, text: str) -> None:
    assert "holds fewer than two rates" in said(file(tmp_path, text))[0]


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert "cannot be read" in said(str(tmp_path / "absent.csv"))[0]


def test_bytes_that_are_no_text_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_bytes(b"t_s,rate_rps\n0,1\n\xff\xfe,2\n")

    assert "is not UTF-8" in said(str(path))[0]
