"""What a daemon says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enova.core.watch.report import Report, ServiceReport, report_as_data, report_in


def report(**changes: Any) -> Report:
    values: dict[str, Any] = {
        "source": "/specs",
        "holder": "pid 1 on host",
        "pid": 1,
        "since_s": 1.0,
        "at_s": 2.0,
        "interval_s": 30.0,
    }
    return Report(**(values | changes))


def test_it_is_read_back_as_it_was_written() -> None:
    told = report(problems=("a",), services={"chat": ServiceReport(in_force="stalled", would=("+ create",))})

    assert report_in(json.loads(json.dumps(report_as_data(told)))) == told


@pytest.mark.parametrize("data", [{}, {"schema_version": 2}, {"schema_version": 1, "services": {}, "more": 1}])
def test_what_another_version_wrote_is_not_guessed_at(data: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        report_in(data)


def test_all_is_in_sync_only_if_there_is_nothing_to_say() -> None:
    assert report(services={"chat": ServiceReport(in_force="as written")}).in_sync
    for one in (
        report(problems=("a",)),
        report(unseen=("a",)),
        report(refusal="a"),
        report(services={"chat": ServiceReport(in_force="stalled")}),
        report(services={"chat": ServiceReport(in_force="as written", doing=("a",))}),
        report(services={"chat": ServiceReport(in_force="as written", waits="a")}),
    ):
        assert not one.in_sync
