"""What is installed beside the package."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[1] / "stack" / "enova.service"


@pytest.fixture(scope="module")
def service() -> configparser.SectionProxy:
    # Strict: a setting that stands there twice is an error.
    unit = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT, encoding="utf-8")
    assert unit.sections() == ["Unit", "Service", "Install"]
    return unit["Service"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("WatchdogSec", "120"),
        ("KillMode", "process"),
        ("Restart", "always"),
        ("RestartSec", "5"),
        ("TimeoutStopSec", "30min"),
        ("ExecStart", "/usr/local/bin/enova watch /etc/enova/specs"),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ("User", "enova"),
        ("SupplementaryGroups", "docker"),
        ("StateDirectory", "enova"),
        ("Environment", "ENOVA_STATE_DIR=/var/lib/enova"),
    ],
)
def test_the_unit_runs_the_daemon_as_it_is_made_to_run(
    service: configparser.SectionProxy, key: str, value: str
) -> None:
    assert service[key] == value


@pytest.mark.parametrize(
    "key",
    ["PrivateTmp", "PrivateDevices", "ProtectClock", "DeviceAllow", "MemoryDenyWriteExecute", "PrivateNetwork"],
)
def test_the_unit_takes_nothing_from_engines_that_they_need(service: configparser.SectionProxy, key: str) -> None:
    assert key not in service


def test_systemd_understands_all_of_the_unit_where_there_is_systemd(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # the tests above hold what matters most
    unit = tmp_path / UNIT.name
    # It looks for the program too, which is not installed here.
    unit.write_text(
        UNIT.read_text(encoding="utf-8").replace("/usr/local/bin/enova", "/bin/true"), encoding="utf-8"
    )
    found = subprocess.run([analyze, "--man=no", "verify", unit], capture_output=True, text=True, check=False)

    about_it = [line for line in found.stderr.splitlines() if UNIT.name in line]
    assert about_it == []
