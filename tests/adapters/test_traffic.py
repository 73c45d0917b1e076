"""Traffic is kept minute by minute, and survives whoever wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from enova.adapters.traffic import FILE, KEPT_S, TrafficRecord
from enova.core.control.minutes import Minute
from enova.errors import EnovaError

T0 = 1_800_000_000.0
ONE = Minute("chat", T0, 30.0, 60.0, None, None, 1.0)


@pytest.fixture
def record(tmp_path: Path) -> TrafficRecord:
    return TrafficRecord(tmp_path / "state" / FILE)


def test_what_was_added_is_there_for_another_process(record: TrafficRecord, tmp_path: Path) -> None:
    record.add([ONE, ONE._replace(at_s=T0 + 60), ONE._replace(service="other")], now_s=T0)

    assert TrafficRecord(tmp_path / "state" / FILE).minutes("chat", since_s=T0) == (
        ONE,
        ONE._replace(at_s=T0 + 60),
    )
    assert record.minutes("chat", since_s=T0 + 61) == (ONE._replace(at_s=T0 + 60),)


def test_two_parts_of_a_minute_are_one(record: TrafficRecord) -> None:
    record.add([ONE], now_s=T0)
    record.add([ONE._replace(seconds=25.0, arrived=10.0, met=4.0, answered=5.0, replicas=2.0)], now_s=T0)

    assert record.minutes("chat", since_s=T0) == (Minute("chat", T0, 55.0, 70.0, 4.0, 5.0, 2.0),)


def test_old_minutes_are_forgotten(record: TrafficRecord) -> None:
    record.add([ONE], now_s=T0)
    record.add([ONE._replace(at_s=T0 + KEPT_S + 60)], now_s=T0 + KEPT_S + 60)

    assert [minute.at_s for minute in record.minutes("chat", since_s=0.0)] == [T0 + KEPT_S + 60]


def test_nothing_kept_is_nothing_known(record: TrafficRecord, tmp_path: Path) -> None:
    assert record.minutes("chat", since_s=0.0) == ()
    assert not (tmp_path / "state").exists()


def test_a_damaged_record_is_an_error_that_says_what_to_do(record: TrafficRecord, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_text("no database, but long enough to be taken for one" * 100)

    with pytest.raises(EnovaError) as raised:
        record.minutes("chat", since_s=0.0)
    assert "delete it" in (raised.value.hint or "")
