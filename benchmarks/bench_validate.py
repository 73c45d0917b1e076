"""Measure how long 1,000 spec files of about 25 lines take to validate, in one process on one core.

    uv run python benchmarks/bench_validate.py [FILES]

Prints the time to import, to check valid files, and to check the same files with two mistakes in each.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

SPEC = """\
# yaml-language-server: $schema=../schemas/enova.schema.json
apiVersion: enova/v1
kind: Service
metadata:
  name: chat-{index}
  labels: {{team: search, tier: gold}}
model:
  id: Qwen/Qwen2.5-7B-Instruct
  revision: a09a35458c702b33eeacc393d103063234e8bc28
  served_names: [qwen, chat]
engine:
  tensor_parallel_size: 2
  max_model_len: 8192
  max_num_seqs: 64{mistake}
  gpu_memory_utilization: 0.9
  enable_prefix_caching: true
  env: {{VLLM_LOGGING_LEVEL: INFO}}
slo:
  ttft: {{p95: 500ms, p99: 1s}}
  tpot: {{p99: 50ms}}
  availability: 99.9%
budget: {{cost: 12 USD/h, gpus: 8}}
injection:
  arrival: {{process: poisson, rate: 20/s}}
  prompt_tokens: {{distribution: lognormal, mean: 512, std: 700}}
scaling: {{min: 1, max: 4}}
gateway: {{port: {port}, policy: cache_aware}}
"""


def main(count: int) -> None:
    """Print one line for each measurement."""
    started = time.perf_counter()
    from enova.adapters.specfiles import load
    from enova.errors import SpecError

    print(f"import               {time.perf_counter() - started:6.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), count, mistake="")
        started = time.perf_counter()
        services = load([folder])
        print(f"{len(services):6} valid files   {time.perf_counter() - started:6.2f} s")
        _write(Path(folder), count, mistake="\n  max_num_seq: 3\n  seed: -1")
        started = time.perf_counter()
        try:
            load([folder])
        except SpecError as error:
            print(
                f"{count:6} broken files  {time.perf_counter() - started:6.2f} s, {len(error.problems)} problems"
            )


def _write(folder: Path, count: int, *, mistake: str) -> None:
    for index in range(count):
        text = SPEC.format(index=index, port=10_000 + index, mistake=mistake)
        (folder / f"chat-{index:05}.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
