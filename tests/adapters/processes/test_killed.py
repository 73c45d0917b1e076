"""Enova may be killed at any moment: whatever runs is found again, once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from enova.adapters.processes import ProcessRuntime
from enova.core.fingerprint import instance_name
from enova.core.observed import State
from tests.adapters.processes.staging import alive_below, replica

SLOTS = 3
NAMES = {instance_name(replica(slot)) for slot in range(SLOTS)}
ENOVA = """
import sys
from pathlib import Path
from enova.adapters.processes import ProcessRuntime
from tests.adapters.processes.staging import replica

runtime = ProcessRuntime(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    names = [runtime.create(replica(slot), {"A": "s" * 100_000}, lambda line: None) for slot in range(3)]
    for name in names:
        runtime.start(name)
    for name in names:
        runtime.stop(name, 5)
        runtime.remove(name)
"""


def kill_enova_at_work(state_dir: Path, after_s: float) -> None:
    """Let another process create, start, stop and remove as fast as it can, and kill it in the middle."""
    with subprocess.Popen(
        [sys.executable, "-c", ENOVA, str(state_dir)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as enova:
        assert enova.stdout is not None
        assert enova.stdout.readline() == b"ready\n"
        time.sleep(after_s)  # the moment to kill, not a wait for anything
        enova.kill()


@pytest.mark.parametrize("seed", range(8))
def test_after_a_kill_at_any_moment_each_instance_runs_exactly_once(
    runtime: ProcessRuntime, state_dir: Path, seed: int
) -> None:
    kill_enova_at_work(state_dir, after_s=random.Random(seed).uniform(0, 0.5))

    names = {runtime.create(replica(slot), {}, lambda line: None) for slot in range(SLOTS)}
    for name in names:
        runtime.start(name)

    assert names == NAMES
    assert alive_below(state_dir) == dict.fromkeys(NAMES, 1)
    assert {(i.name, i.state) for i in runtime.look().instances} == {(name, State.RUNNING) for name in NAMES}


@pytest.mark.parametrize("seed", range(8))
def test_after_a_kill_at_any_moment_all_that_runs_is_seen_and_can_be_removed(
    runtime: ProcessRuntime, state_dir: Path, seed: int
) -> None:
    kill_enova_at_work(state_dir, after_s=random.Random(100 + seed).uniform(0, 0.5))

    # A start that had begun goes on without its starter. It keeps the turn until it is done, so whatever changes
    # something next comes after it; and what was not seen before it is seen then.
    runtime.remove("nothing")
    for instance in runtime.look().instances:
        runtime.remove(instance.id)

    assert not alive_below(state_dir)
    assert not runtime.look().instances
