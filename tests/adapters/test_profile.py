"""A traffic profile, from its file to a load and promises, or to every problem with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from enova.adapters.specfiles import read_profile
from enova.core.spec.injection import Poisson, Trace
from enova.core.spec.profile import Profile
from enova.errors import SpecError


def read(tmp_path: Path, text: str) -> Profile:
    path = tmp_path / "night.yaml"
    path.write_text(text)
    return read_profile(path)


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        read(tmp_path, text)
    return [str(problem).removeprefix(f"{tmp_path}/night.yaml:") for problem in caught.value.problems]


def test_a_profile_says_what_traffic_comes_and_what_is_promised(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "injection: {arrival: {process: poisson, rate: 4/s}, duration: 1m}\nslo: {ttft: {p95: 300ms}}\n",
    )

    assert isinstance(found.injection.arrival, Poisson)
    assert float(found.injection.arrival.rate) == 4
    assert found.slo.ttft.p95 is not None
    assert float(found.slo.ttft.p95) == 0.3


def test_of_a_spec_only_traffic_and_promises_are_read(tmp_path: Path) -> None:
    text = "metadata: {name: chat}\nmodel: a/b\ninjection: {arrival: {process: poisson, rate: 4/s}}\n"

    assert read(tmp_path, text).model_fields_set == {"injection"}


def test_paths_in_it_start_at_its_folder(tmp_path: Path) -> None:
    found = read(tmp_path, "injection: {arrival: {process: trace, file: ./monday.csv}}\n")

    assert isinstance(found.injection.arrival, Trace)
    assert found.injection.arrival.file == str(tmp_path / "monday.csv")


def test_every_problem_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    text = "injection:\n  arrival: {process: poisson, rate: fast}\n  durration: 1m\nslo: {ttft: {p95: 0s}}\n"

    found = problems(tmp_path, text)

    assert [problem.split(": ")[0] for problem in found] == ["2:37", "3:3", "4:19"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "1:1: holds no traffic"),
        ("injection: {}\n---\ninjection: {}\n", "1:1: holds several documents: traffic is one"),
        ("slo: {}\n", "1:1: injection: is required"),
    ],
)
def test_a_file_without_one_load_is_refused(tmp_path: Path, text: str, words: str) -> None:
    [problem] = problems(tmp_path, text)

    assert problem.startswith(words)


def test_a_file_that_is_not_there_is_a_problem_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read_profile(tmp_path / "none.yaml")

    assert "cannot be read: No such file" in str(caught.value)
