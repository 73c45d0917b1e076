"""What an engine does, put down in vLLM's metrics; durations as users feel them, divided by the speed."""

from __future__ import annotations

from enova.core.engine.step_time import Frontend
from enova.core.simulate.engine import Served
from enova.core.workload.request import Request
from enova.emulator.metrics import Metrics


class Accounts:
    """Keeps the metrics of one engine."""

    def __init__(self, metrics: Metrics, frontend: Frontend, speed: float) -> None:
        self._metrics = metrics
        self._frontend = frontend
        self._speed = speed

    def step(self, *, prompt_tokens: int, output_tokens: int, preemptions: int) -> None:
        """Count what came of a step; the tokens of a prompt count when its first answer token is there."""
        metrics = self._metrics
        metrics.preemptions.inc(preemptions)
        if output_tokens:
            metrics.prompt_tokens.inc(prompt_tokens)
            metrics.generation_tokens.inc(output_tokens)
            metrics.iteration_tokens.observe(prompt_tokens + output_tokens)

    def first_token(self, request: Request, at_s: float) -> None:
        """Note when a user sees the first token."""
        self._metrics.first_token_s.observe((at_s - request.arrival_s) / self._speed)

    def gaps(self, number: int, gap_s: float) -> None:
        """Note that as many tokens came so long after the ones before them."""
        for _ in range(number):
            self._metrics.next_token_s.observe(gap_s / self._speed)

    def served(self, served: Served, *, max_tokens: int, finish_reason: str) -> None:
        """Note an answer that is complete."""
        metrics, request, after_s = self._metrics, served.request, self._frontend.after_s
        seen_s = request.arrival_s + self._frontend.arrival_s(request.prompt_tokens)
        first_s, last_s = served.first_token_s - after_s, served.finished_s - after_s
        for histogram, seconds in (
            (metrics.queue_s, served.scheduled_s - seen_s),
            (metrics.prefill_s, first_s - served.scheduled_s),
            (metrics.decode_s, last_s - first_s),
            (metrics.inference_s, last_s - served.scheduled_s),
            (metrics.total_s, served.finished_s - request.arrival_s),
        ):
            histogram.observe(seconds / self._speed)
        if request.output_tokens > 1:
            metrics.mean_token_s.observe((last_s - first_s) / (request.output_tokens - 1) / self._speed)
        metrics.request_prompt_tokens.observe(request.prompt_tokens)
        metrics.request_generation_tokens.observe(request.output_tokens)
        metrics.request_most_tokens.observe(request.output_tokens)
        metrics.request_max_tokens.observe(max_tokens)
        metrics.request_n.observe(1)
        metrics.request_preemptions.observe(served.preemptions)
        metrics.request_computed_tokens.observe(request.prompt_tokens - served.cached_tokens)
        metrics.prefix_queries.inc(request.prompt_tokens)
        metrics.prefix_hits.inc(served.cached_tokens)
        metrics.cached_tokens.inc(served.cached_tokens)
        metrics.finished[finish_reason].inc()

    def ended_early(self, reason: str) -> None:
        """Count a request that was aborted or failed."""
        self._metrics.finished[reason].inc()

    def look(self, *, running: int, waiting: int, kv_use: float) -> None:
        """Note the state of the engine."""
        metrics = self._metrics
        metrics.running.set(running)
        metrics.waiting.set(waiting)
        metrics.waiting_for["capacity"].set(waiting)
        metrics.kv_usage.set(kv_use)
