"""What a live engine's steps cost, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.text import Text

from enova.core.engine.calibration import Work, decode_work, prefill_work
from enova.core.engine.learnt import Learnt

WORDS = {
    "step_s": "a step",
    "chunk_s": "a piece of a prompt",
    "sequence_s": "a decoding sequence",
    "prompt_token_s": "a prompt token",
    "pair_s": "a token looked back at by a prompt's",
    "kv_token_s": "a token looked back at by decoding",
}
EXAMPLES: tuple[tuple[str, Work], ...] = (
    ("prompt of 128 tokens", prefill_work(128)),
    ("prompt of 1,024 tokens", prefill_work(1024)),
    ("1 sequence of 500 tokens", decode_work(1, 500)),
    ("8 sequences of 500 tokens", decode_work(8, 500)),
    ("32 sequences of 500 tokens", decode_work(32, 500)),
)


def calibration_as_json(learnt: Learnt) -> str:
    """Return the file that `enova simulate --calibration` reads."""
    return json.dumps(learnt.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def calibration_text(learnt: Learnt) -> Text:
    """Return what was learnt, each with two standard errors."""
    return Text("".join(_lines(learnt)))


def _lines(learnt: Learnt) -> Iterator[str]:
    calibration = learnt.calibration
    yield (
        f"{learnt.source}: {learnt.observations} observations in {learnt.seconds:.0f} s, "
        f"which scatter by {learnt.scatter:.1%}\n"
    )
    pairs = zip(WORDS.values(), calibration.costs, calibration.standard_errors, strict=True)
    yield from (f"  {words:38} {_span(cost_s, error_s)}\n" for words, cost_s, error_s in pairs)
    outside = "unknown" if learnt.outside_s is None else f"{1e3 * learnt.outside_s:10.3g} ms"
    yield f"  {'a request outside the scheduler':38} {outside}\n"
    yield "so a step takes\n"
    yield from (f"  {words:38} {_span(*calibration.predict(work))}\n" for words, work in EXAMPLES)
    if learnt.unknown:
        yield f"not offered by this server: {', '.join(learnt.unknown)}\n"


def _span(value_s: float, error_s: float) -> str:
    unit, factor = ("ms", 1e3) if max(value_s, error_s) >= 1e-4 else ("us", 1e6)
    return f"{factor * value_s:10.3g} {unit} ± {2 * factor * error_s:.2g}"
