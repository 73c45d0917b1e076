"""The file a daemon reports in."""

from __future__ import annotations

from pathlib import Path

import pytest

from enova.adapters.lock import exclusive
from enova.watch.report_file import read_report, reports, write_report
from tests.core.watch.test_report import report


def test_a_report_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "watch.json"
    for at_s in (1.0, 2.0):
        write_report(path, report(at_s=at_s))

    assert read_report(path) == report(at_s=2.0)
    assert [one.name for one in tmp_path.iterdir()] == ["watch.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 7}', "\0"])
def test_what_is_no_report_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "watch.json"
    path.write_text(text)

    assert read_report(path) is None
    assert read_report(tmp_path / "missing.json") is None


def test_a_daemon_is_alive_as_long_as_it_holds_its_lock(tmp_path: Path) -> None:
    folder = tmp_path / "watch"
    with exclusive(folder / "a.lock", what="enova watch", now="noon"):
        write_report(folder / "a.json", report())
        assert list(reports(tmp_path)) == [(report(), True)]

    assert list(reports(tmp_path)) == [(report(), False)]
    (folder / "a.lock").unlink()
    assert list(reports(tmp_path)) == [(report(), False)]


def test_it_cannot_be_written_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        write_report(tmp_path / "missing" / "watch.json", report())
