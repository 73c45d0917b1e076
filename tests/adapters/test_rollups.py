from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import cast

import pytest

from enova.adapters.rollups import AT_ONCE, KEPT_S, Counted, Rollups
from enova.core.metrics.rollup import ARRIVED, FINISHED, SEEN_S
from enova.errors import EnovaError

NOW_S = 1_800_000_000.0
MINUTE = int(NOW_S)
COUNTED = Counted("g0", "chat", NOW_S, None, {("attempts", "http://a"): 5.0, ("ttft", 0.5): 1.0})


@pytest.fixture
def rollups(tmp_path: Path) -> Rollups:
    return Rollups(tmp_path / "state" / "rollups.db")


def test_amounts_are_added_up_by_service_and_minute(rollups: Rollups) -> None:
    rollups.keep({("chat", MINUTE): {ARRIVED: 3.0, SEEN_S: 30.0}}, [], now_s=NOW_S)
    rollups.keep({("chat", MINUTE): {ARRIVED: 4.0, FINISHED: 2.0}, ("other", MINUTE): {}}, [], now_s=NOW_S)

    (one,) = rollups.rollups("chat")
    assert (one.at_s, one.arrived, one.finished, one.seen_s, one.prompt_tokens) == (NOW_S, 7.0, 2.0, 30.0, None)
    assert rollups.rollups("other")[0].arrived is None
    assert rollups.rollups("chat", NOW_S + 1) == ()


def test_what_was_counted_is_read_back_as_it_was(rollups: Rollups) -> None:
    assert rollups.counted() == {}
    rollups.keep({}, [COUNTED], now_s=NOW_S)
    rollups.keep({}, [COUNTED._replace(began_s=7.0)], now_s=NOW_S)

    assert rollups.counted() == {"g0": COUNTED._replace(began_s=7.0)}


def test_what_is_older_than_a_month_is_given_up(rollups: Rollups) -> None:
    rollups.keep({("chat", MINUTE): {ARRIVED: 3.0}}, [COUNTED], now_s=NOW_S)
    rollups.keep({("chat", MINUTE + 60): {ARRIVED: 3.0}}, [], now_s=NOW_S + KEPT_S + 1)

    assert [one.at_s for one in rollups.rollups("chat")] == [NOW_S + 60]
    assert rollups.counted() == {}


def test_a_clock_that_is_ahead_for_a_minute_costs_a_few_of_the_oldest_minutes_only(rollups: Rollups) -> None:
    rollups.keep({("chat", MINUTE + 60 * n): {ARRIVED: 1.0} for n in range(1000)}, [], now_s=NOW_S)
    rollups.keep({}, [], now_s=NOW_S + 10 * KEPT_S)

    kept = rollups.rollups("chat")
    assert (len(kept), kept[0].at_s) == (1000 - AT_ONCE, NOW_S + 60 * AT_ONCE)


def test_without_a_file_there_is_nothing_and_none_is_made(tmp_path: Path) -> None:
    assert Rollups(tmp_path / "rollups.db").rollups("chat") == ()
    assert list(tmp_path.iterdir()) == []


def test_all_is_kept_or_nothing(rollups: Rollups) -> None:
    rollups.keep({("chat", MINUTE): {ARRIVED: 3.0}}, [COUNTED], now_s=NOW_S)

    with pytest.raises(EnovaError):
        rollups.keep(
            {("chat", MINUTE): {ARRIVED: 1.0}}, [COUNTED._replace(service=cast("str", None))], now_s=NOW_S
        )

    assert rollups.rollups("chat")[0].arrived == 3.0
    assert rollups.counted() == {"g0": COUNTED}


@pytest.mark.parametrize("damage", ["no database at all, and longer than a header is", None])
def test_a_file_that_cannot_be_used_says_so(tmp_path: Path, damage: str | None) -> None:
    path = tmp_path / "rollups.db"
    if damage:
        path.write_text(damage * 40)
    else:
        with sqlite3.connect(path) as file:
            file.execute("PRAGMA user_version = 99")
        file.close()

    for call in (Rollups(path).counted, lambda: Rollups(path).rollups("chat")):
        with pytest.raises(EnovaError, match="cannot be used"):
            call()


def test_what_was_counted_and_cannot_be_read_says_so(rollups: Rollups, tmp_path: Path) -> None:
    rollups.keep({}, [COUNTED], now_s=NOW_S)
    file = sqlite3.connect(tmp_path / "state" / "rollups.db")
    file.execute("UPDATE counted SET counters = '[1'")
    file.commit()
    file.close()

    with pytest.raises(EnovaError, match="cannot be used"):
        rollups.counted()
