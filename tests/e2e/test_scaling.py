"""Replicas follow real traffic through a real router, by the command, and nobody who asks notices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chaos.daemon import Watch, put
from tests.e2e.command import Enova, eventually, free_port

pytestmark = pytest.mark.slow

SPEC = """\
metadata: {{name: scaled}}
model: Qwen/Qwen3-8B
engine: {{kind: emulated, extra_args: {{emulate_gpu: l40s, speed: 4}}}}
placement: {{runtime: process}}
slo: {{ttft: {{p99: 1s}}, tpot: {{p99: 15ms}}}}
injection:
  arrival: {{process: poisson, rate: 3/s}}
  prompt_tokens: {{distribution: lognormal, mean: 1155, std: 1109, max: 8000}}
  output_tokens: {{distribution: lognormal, mean: 211, std: 163, max: 1000}}
scaling: {{min: 1, max: 5, mode: {mode}}}
gateway: {{port: {port}, policy: cache_aware}}
rollout: {{settle: 0s, drain_timeout: 20s}}
"""
RAMP = """\
injection:
  arrival:
    process: stages
    stages:
      - {duration: 15s, rate: 3/s}
      - {duration: 20s, rate: 3/s, to_rate: 24/s}
      - {duration: 40s, rate: 24/s}
      - {duration: 10s, rate: 24/s, to_rate: 2/s}
      - {duration: 15s, rate: 2/s}
  prompt_tokens: {distribution: lognormal, mean: 1155, std: 1109, max: 8000}
  output_tokens: {distribution: lognormal, mean: 211, std: 163, max: 1000}
"""


@pytest.fixture
def specs(enova: Enova) -> Path:
    folder = enova.folder / "specs"
    folder.mkdir()
    put(folder / "scaled.yaml", SPEC.format(mode="auto", port=free_port()))
    put(enova.folder / "ramp.yaml", RAMP)
    enova.started.add("scaled")
    return folder


def test_replicas_follow_a_ramp_and_nobody_who_asks_notices(enova: Enova, specs: Path) -> None:
    watch = Watch(enova, str(specs))
    with watch:
        watch.says("scaled: done")
        eventually(lambda: "come; 1 replica" in told(enova), within_s=60, what="its capacity is known")
        report = json.loads(enova("inject", "scaled", "--profile", "ramp.yaml", "-o", "json").stdout)
        watch.converges()
        added = replicas(enova)
    # Without the daemon a plan takes away nothing that it has added.
    plan = enova("plan", str(specs))
    with watch:
        eventually(lambda: replicas(enova) == 1, within_s=180, what="one replica")

    assert added > 1
    assert plan.returncode == 0, plan.stdout
    assert report["found"]["served"] > 1000
    assert report["found"]["failed"] == 0
    assert "scaled: scale 1 to" in watch.log
    assert "requests/s are to be expected" in watch.log
    assert "scaled: " in enova.ok("history")


def told(enova: Enova) -> str:
    return enova("status").stdout


def replicas(enova: Enova) -> int:
    return sum(one["role"] == "replica" for one in enova.instances("scaled"))
