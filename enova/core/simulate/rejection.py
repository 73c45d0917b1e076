"""Which requests an engine can never serve, because they do not fit even when they are alone."""

from __future__ import annotations

from bisect import bisect_right

from enova.core.simulate.limits import Limits
from enova.core.workload.request import Request


def most_tokens(limits: Limits) -> int:
    """Return the tokens of the longest request, prompt and output, that can run to its end.

    Its last token is never cached, but with speculation a step may reach that far beyond the end. Without chunked
    prefill all of it must fit in one step, or it could not be computed again after a preemption.
    """
    beyond = -int(-limits.tokens_per_step // 1) - 2
    totals = range(limits.max_model_len + 1)
    most = bisect_right(totals, limits.kv_blocks, key=lambda total: limits.pages.of(max(0, total + beyond))) - 1
    return most if limits.chunked_prefill else min(most, limits.max_num_batched_tokens)


def why_never(request: Request, limits: Limits) -> str:
    """Return in words why a request that is longer than `most_tokens` cannot run; the same for all alike."""
    tokens = request.prompt_tokens + request.output_tokens
    if tokens > limits.max_model_len:
        return f"longer than the longest sequence, {limits.max_model_len} tokens"
    if not limits.chunked_prefill and tokens > limits.max_num_batched_tokens:
        return f"longer than a step, {limits.max_num_batched_tokens} tokens, and prompts are not cut"
    return f"larger than the whole KV cache, {limits.kv_blocks} blocks"
