"""Ask for a recommendation, run it on real vLLM on this machine's CPU, and see whether it keeps what was promised.

    uv run python benchmarks/recommend_vllm_cpu.py [--seconds 90] [-o FILE]

Two replicas of the test image (make test-image models) with one thread each are calibrated from the metrics of a
mixed load. From that a promise and a rate follow that take two replicas and a limit on their batch; then Enova is
asked, as a user would (`enova plan`, with `engine.calibration`, nothing pinned), what to run. What it says is
applied and put under the load that was stated; then the same with half the replicas, with half the sequences, and
with half of both. Printed are the promised and the measured percentiles, and whether each promise was kept.

A machine whose speed changes while this runs shows that as broken promises: close what else is running.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_vllm_cpu import IMAGE, KV_BYTES, LONGEST, MODELS, figures, fixed, mixed, send
from ruamel.yaml import YAML

from enova.adapters.lockfile import read_lock
from enova.core.engine.learnt import learnt_in
from enova.core.engine.step_time import NO_FRONTEND, Chunk

SHAPE = (128, 64)
SEATS = 16
"""Of the replicas that are calibrated: more than any recommendation here."""
WANTED_SEATS = 8
"""The promise on TPOT is made so that about this many sequences keep it."""
RATE_OF_ONE = 1.3
"""The rate that is stated, in what one replica can serve: too much for one, and two hold it with a burst."""
TIGHTER = (1.5, 1.35, 1.2, 1.1, 1.0, 0.9, 0.8)
PORT = 9377


def main(seconds: float, out: Path | None) -> None:
    """Calibrate, ask, run what is recommended and halves of it, and print what became of the promises."""
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"enova-recommend-{os.getpid()}"
    folder.mkdir()
    calibration = folder / "cpu.calibration.json"
    with _serving(folder, _spec(engine={"max_num_seqs": SEATS}, scaling={"min": 2, "max": 2})):
        calibration.write_text(_calibrated(folder, seconds), encoding="utf-8")
    targets, rate, chosen = _question(folder, calibration)
    print(_enova("plan", str(folder / "cpu.yaml"), check=False))
    seats, replicas = int(chosen["engine.max_num_seqs"]), int(chosen["replicas"])
    results = {}
    for name, (few, some) in {
        "recommended": (replicas, seats),
        "half the replicas": (replicas // 2, seats),
        "half the sequences": (replicas, seats // 2),
        "half of both": (replicas // 2, seats // 2),
    }.items():
        pinned = _spec(engine={"max_num_seqs": some}, scaling={"min": few, "max": few})
        with _serving(folder, pinned) as url:
            requests = fixed(
                "128/64", np.cumsum(np.random.default_rng(7).exponential(1 / rate, int(rate * seconds)))
            )
            measured = figures(asyncio.run(send(url, requests)))
        results[name] = {"replicas": few, "max_num_seqs": some, "measured": measured}
        _print(name, few, some, measured, targets)
    if out:
        data = {"promised_s": targets, "rate": rate, "chosen": dict(chosen), "results": results}
        out.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _spec(**sections: Mapping[str, Any]) -> dict[str, Any]:
    engine = {
        "image": IMAGE,
        "dtype": "bfloat16",
        "enforce_eager": True,
        "max_model_len": LONGEST,
        "kv_cache_memory_bytes": KV_BYTES,
        "load_format": "dummy",
        "distributed_executor_backend": "uni",
        "env": {"OMP_NUM_THREADS": "1"},
    }
    return {
        "metadata": {"name": "bench-cpu"},
        "model": {"id": str(MODELS / "small"), "served_names": ["small"]},
        "placement": {"runtime": "docker", "accelerator": "cpu"},
        "gateway": {"port": PORT},
        **sections,
        "engine": engine | dict(sections.get("engine", {})),
    }


def _write(folder: Path, spec: Mapping[str, Any]) -> str:
    file = folder / "cpu.yaml"
    with file.open("w", encoding="utf-8") as stream:
        YAML().dump(dict(spec), stream)
    return str(file)


@contextmanager
def _serving(folder: Path, spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield the address of the gateway while what a spec says runs, warmed up."""
    file = _write(folder, spec)
    _enova("apply", file, "--yes")
    try:
        url = f"http://127.0.0.1:{PORT}"
        asyncio.run(send(url, mixed(1.0, 8.0, seed=99)))
        yield url
    finally:
        _enova("delete", file, "--yes")


def _calibrated(folder: Path, seconds: float) -> str:
    """Return the calibration of one replica while both get a mixed load through the gateway."""
    status = json.loads(_enova("status", str(folder / "cpu.yaml"), "-o", "json"))
    replica = next(one for one in status["services"][0]["instances"] if one["target"].endswith("#0"))
    found: list[str] = []
    url = str(replica["url"])

    def learn() -> None:
        length = f"{seconds:.0f}s"
        found.append(_enova("calibrate", url, "--for", length, "--every", "500ms", "-o", "json"))

    learner = threading.Thread(target=learn)
    learner.start()
    asyncio.run(send(f"http://127.0.0.1:{PORT}", mixed(2.4, seconds - 5, seed=1)))
    learner.join()
    return found[0]


def _question(folder: Path, calibration: Path) -> tuple[dict[str, float], float, Mapping[str, Any]]:
    """Return promises in seconds, the rate, and what Enova chooses: two replicas with a limit on their batch.

    The promise on TPOT is made ever tighter, from what WANTED_SEATS sequences take in a busy replica, until
    batches without a limit would break it.
    """
    learnt = learnt_in(calibration.read_text(encoding="utf-8"), str(calibration))
    step_time, frontend = learnt.calibration.step_time(), learnt.frontend or NO_FRONTEND
    context = (SHAPE[0] + SHAPE[1] / 2) * WANTED_SEATS
    decode_s = step_time.step_s([], WANTED_SEATS, context, 0.0)
    prompt_s = step_time.step_s([Chunk(SHAPE[0], 0, True)], WANTED_SEATS, context, 0.0) - decode_s
    one_per_s = 1 / (SHAPE[1] * decode_s / WANTED_SEATS + prompt_s)
    print(f"steps: {1e3 * decode_s:.1f} ms with {WANTED_SEATS} sequences, a prompt adds {1e3 * prompt_s:.1f} ms")
    print(f"one replica with {WANTED_SEATS} sequences serves at most about {one_per_s:.2f}/s")
    rate, busy_s = RATE_OF_ONE * one_per_s, decode_s + prompt_s * WANTED_SEATS / SHAPE[1]
    for share in TIGHTER:
        targets = {"ttft": frontend.before_s + 30 * (decode_s + prompt_s), "tpot": share * busy_s}
        file = _write(folder, _stated(calibration, targets, rate))
        _enova("plan", file, check=False)
        entry = read_lock(folder / "enova.lock").get("bench-cpu")
        if entry and "engine.max_num_seqs" in entry.chosen and entry.chosen["replicas"] == 2:
            return targets, rate, entry.chosen
    sys.exit("no promise on TPOT leads to a limit on batches here: is the machine busy?")


def _stated(calibration: Path, targets: Mapping[str, float], rate: float) -> dict[str, Any]:
    return _spec(
        engine={"calibration": str(calibration)},
        slo={name: {"p95": f"{1e3 * target_s:.0f}ms"} for name, target_s in targets.items()},
        injection={
            "arrival": {"process": "poisson", "rate": f"{rate:.2f}/s"},
            "prompt_tokens": {"distribution": "fixed", "tokens": SHAPE[0]},
            "output_tokens": {"distribution": "fixed", "tokens": SHAPE[1]},
        },
    )


def _print(
    name: str, replicas: int, seats: int, measured: Mapping[str, float], targets: Mapping[str, float]
) -> None:
    cells = []
    for metric, target_s in targets.items():
        value = measured[f"{metric}_p95"]
        verdict = "kept" if value <= 1e3 * target_s else "BROKEN"
        cells.append(f"{metric} p95 {value:.0f} ms, promised {1e3 * target_s:.0f}: {verdict}")
    served = measured["req_per_s"]
    print(f"{name} ({replicas} x {seats} sequences): {'; '.join(cells)}; {served:.2f} requests/s", flush=True)


def _enova(*words: str, check: bool = True) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "enova", *words], check=False, capture_output=True, text=True, timeout=900
    )
    if check and done.returncode not in (0, 2):
        sys.exit(f"enova {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=90.0, help="how long each load lasts")
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    began_s = time.monotonic()
    main(given.seconds, given.out)
    print(f"took {time.monotonic() - began_s:.0f} s")
