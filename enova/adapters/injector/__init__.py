"""Sends a load for real: on an absolute schedule, from as many processes as it takes, and tells what came of it.

Why own code. GuideLLM, aiperf, inference-perf and `vllm bench serve` send requests too; but for inference-perf
they are measured beside this (benchmarks/bench_inject.py, docs/injection.md). They run a Python coroutine, or
pass a message between processes, for every request or token, through a general HTTP client, so that a core
keeps a quarter of what it does here, or far less; and their latencies begin when a request was sent (GuideLLM
tells its dispatch delay apart). What Enova needs is small: one absolute schedule that several processes share,
the scheduled time beside every answer, and microseconds for a token. httptools parses HTTP, uvloop runs the
loop and orjson reads events; the schedule, the pool of connections and the clock are all that is left, and are
here. Results of those tools can be read (enova.adapters.measurements.results).

`injector` starts `worker` processes, which pack what they see with `wire`. In a worker a `sender` follows the
schedule, `pool` keeps connections, `connection` speaks HTTP/1.1, and an `exchange` is one request and its answer.
"""

from enova.adapters.injector.body import PATHS
from enova.adapters.injector.injector import Run, workers_for

__all__ = ["PATHS", "Run", "workers_for"]
