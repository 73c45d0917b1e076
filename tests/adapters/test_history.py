"""The history keeps what it was given, for many processes at once, and says clearly when it cannot."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from enova.adapters.history import MIGRATIONS, History, Injected, history_of
from enova.core.ledger.records import Measured
from enova.errors import EnovaError
from enova.settings import Settings
from tests.core.forecasts import figure, forecast
from tests.core.ledger.records import applied, measurement
from tests.core.workload.reports import report

PLAIN = forecast(usd_per_million_tokens=1.661)
"""Has no more digits than are kept."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.db"


def test_what_was_added_is_read_again(path: Path) -> None:
    forecasts = [applied(forecast=PLAIN), applied(at_s=1001.5, forecast=PLAIN, rate=None)]
    rough = {"ttft.mean": Measured.exactly(0.1), "ttft.p95": Measured(1.0, 1.0, math.inf)}
    measurements = [
        measurement(figures=rough),
        measurement(began_s=3000.0, ended_s=3060.5, rate=None, replicas=None, output_tokens=None, emulated=True),
    ]

    assert History(path).add(*forecasts, *measurements) == 4

    assert History(path).applied() == tuple(forecasts)
    assert History(path).measurements() == tuple(measurements)


def test_it_is_among_what_enova_keeps_on_a_machine(tmp_path: Path) -> None:
    history_of(Settings(state_dir=tmp_path)).add(measurement())

    assert [file.name for file in tmp_path.iterdir()] == ["history.db"]


def test_reading_makes_no_file(path: Path) -> None:
    assert History(path).applied() == ()
    assert History(path).measurements() == ()
    assert not path.parent.exists()


def test_one_service_and_a_time_to_look_back_to_may_be_asked_for(path: Path) -> None:
    history = History(path)
    history.add(*[applied(at_s=at_s, service=name, forecast=PLAIN) for at_s in (1.0, 2.0) for name in ("a", "b")])
    history.add(
        *[measurement(ended_s=ended_s, service=name) for ended_s in (2010.0, 2020.0) for name in ("a", "b")]
    )

    # The second of each service is the first again: that is in force still.
    assert [(one.at_s, one.service) for one in history.applied()] == [(1.0, "a"), (1.0, "b")]
    assert [one.service for one in history.applied("a", since_s=1.0)] == ["a"]
    assert history.applied(since_s=1.5) == ()
    assert [(one.ended_s, one.service) for one in history.measurements("b")] == [(2010.0, "b"), (2020.0, "b")]
    assert [(one.ended_s, one.service) for one in history.measurements(since_s=2015.0)] == [
        (2020.0, "a"),
        (2020.0, "b"),
    ]


def test_a_forecast_that_is_in_force_already_is_not_kept_again(path: Path) -> None:
    history = History(path)
    other = forecast(figures={"ttft.mean": figure(0.3)})

    kept = [
        history.add(applied(at_s=at_s, forecast=one))
        for at_s, one in ((1, PLAIN), (2, PLAIN), (3, other), (4, PLAIN))
    ]

    assert kept == [1, 0, 1, 1]


def test_a_measurement_is_kept_once(path: Path) -> None:
    assert History(path).add(measurement(), measurement()) == 1
    assert History(path).add(measurement()) == 0


def test_what_is_not_a_number_was_not_measured(path: Path) -> None:
    figures = {"ttft.mean": Measured.exactly(math.nan), "ttft.p95": Measured.exactly(0.2)}

    History(path).add(measurement(figures=figures))

    assert list(History(path).measurements()[0].figures) == ["ttft.p95"]


def test_all_records_of_a_call_are_kept_or_none(path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        History(path).add(applied(), applied(service="b", forecast=forecast(gpus=math.inf)))

    assert History(path).applied() == ()


def test_deleting_the_file_begins_it_anew(path: Path) -> None:
    history = History(path)
    history.add(measurement())
    path.unlink()

    assert history.measurements() == ()
    assert history.add(measurement()) == 1


def test_an_empty_file_is_an_empty_history(path: Path) -> None:
    path.parent.mkdir()
    path.touch()

    assert History(path).measurements() == ()
    assert History(path).add(measurement()) == 1


ADDING = """
import sys
from pathlib import Path
from enova.adapters.history import History
from tests.core.ledger.records import applied, measurement
history = History(Path(sys.argv[1]))
for number in range(20):
    history.add(applied(service=sys.argv[2], rate=1.0 + number), measurement(service=sys.argv[2], began_s=number))
"""


def test_many_processes_may_begin_it_and_add_to_it_at_once(path: Path) -> None:
    root = Path(__file__).parents[2]
    adding = [
        subprocess.Popen([sys.executable, "-c", ADDING, str(path), f"chat-{number}"], cwd=root)
        for number in range(6)
    ]

    assert [process.wait() for process in adding] == [0] * 6
    assert len(History(path).applied()) == len(History(path).measurements()) == 120
    assert [file.name for file in path.parent.iterdir()] == ["history.db"]


def test_an_older_file_is_brought_up_to_date_and_keeps_what_it_has(path: Path) -> None:
    History(path).add(measurement())
    newer = (*MIGRATIONS, "CREATE TABLE more (id INTEGER); INSERT INTO more VALUES (7)")

    assert History(path, migrations=newer).measurements() == (measurement(),)

    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT id FROM more").fetchall() == [(7,)]
        assert file.execute("PRAGMA user_version").fetchone() == (len(newer),)


def test_runs_of_load_are_kept_and_found_by_number_service_and_time(path: Path) -> None:
    history = History(path)

    numbers = [
        history.keep_run(report(name), service=name, at_s=at_s)
        for name, at_s in (("a", 1.0), ("b", 2.0), ("a", 3.0))
    ]

    assert [(run.number, run.at_s) for run in history.runs("a")] == [(numbers[0], 1.0), (numbers[2], 3.0)]
    assert [run.service for run in history.runs(since_s=2.0)] == ["b", "a"]
    assert history.run(numbers[1]) == Injected(numbers[1], 2.0, "b", report("b"))
    assert history.run(99) is None


def test_looking_for_a_run_makes_no_file(path: Path) -> None:
    assert (History(path).run(1), History(path).runs()) == (None, ())
    assert not path.parent.exists()


def test_a_file_of_a_newer_enova_is_left_alone(path: Path) -> None:
    History(path, migrations=(*MIGRATIONS, "CREATE TABLE more (id INTEGER)")).add(measurement())
    before = path.read_bytes()

    for act in (lambda: History(path).add(measurement()), lambda: History(path).measurements()):
        with pytest.raises(EnovaError) as raised:
            act()
        assert raised.value.message == f"the history {path} was written by a newer Enova"
    assert path.read_bytes() == before


def test_a_file_that_is_no_history_is_called_that(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("not a database, but long enough to have a header of its own" * 20, encoding="utf-8")

    with pytest.raises(EnovaError, match="cannot be used: file is not a database") as raised:
        History(path).add(measurement())
    assert raised.value.hint == "move the file away: it is a record only, and is begun anew"


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE applied SET forecast = 'not JSON'",
        "UPDATE applied SET forecast = '{}'",
        "UPDATE measured SET figures = '[1]'",
        "UPDATE measured SET figures = '{\"ttft.mean\": [1]}'",
        "UPDATE injected SET report = '{}'",
        "DROP TABLE measured",
    ],
)
def test_damage_within_the_file_is_said_and_is_no_traceback(path: Path, harm: str) -> None:
    history = History(path)
    history.add(applied(), measurement())
    history.keep_run(report(), service="chat", at_s=1.0)
    with closing(sqlite3.connect(path)) as file:
        file.execute(harm)
        file.commit()

    with pytest.raises(EnovaError, match="cannot be used"):
        (history.applied(), history.measurements(), history.runs())


def test_a_file_that_is_cut_off_is_said_to_be_damaged(path: Path) -> None:
    History(path).add(applied(), measurement())
    path.write_bytes(path.read_bytes()[:5000])

    with pytest.raises(EnovaError, match="cannot be used"):
        History(path).add(measurement(began_s=1.0))


def test_a_place_where_nothing_can_be_written_is_not_called_damage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(EnovaError, match="cannot be opened: ") as raised:
        History(tmp_path / "file" / "history.db").add(measurement())
    assert raised.value.hint is not None
    assert "ENOVA_STATE_DIR" in raised.value.hint
