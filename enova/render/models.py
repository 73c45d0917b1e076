"""Model cards for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from enova.core.engine.model_card import Attention, AttentionKind, ModelCard
from enova.core.engine.model_summary import ModelSummary, summary_of
from enova.core.engine.numbers import Numbers
from enova.render.table import table_text

SCHEMA_VERSION = 1
HEADINGS = ("MODEL", "PARAMETERS", "ACTIVE", "WEIGHTS", "FORMAT", "KV/TOKEN", "LENGTH")
PARTS = ("attention", "mlp", "experts", "embedding", "activations")
RIGHT = frozenset({"PARAMETERS", "ACTIVE", "WEIGHTS", "KV/TOKEN", "LENGTH"})


def models_text(cards: Iterable[ModelCard]) -> Text:
    """Return a line for each model: parameters, bytes, format, KV bytes of a token, length."""
    return table_text(HEADINGS, [_row(card) for card in cards], right=RIGHT)


def model_text(card: ModelCard) -> Text:
    """Return everything about one model."""
    summary = summary_of(card)
    text = Text().append(f"{card.name}\n", "bold")
    for name, value in _lines(card, summary):
        text.append(f"  {name:<14}", "dim").append(f"{value}\n")
    return text


def models_as_json(cards: Iterable[ModelCard]) -> dict[str, Any]:
    """Return `{schema_version, models: [{…the card…, summary: {parameters, weight_bytes, …}}]}`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "models": [{**asdict(card), "summary": asdict(summary_of(card))} for card in cards],
    }


def _row(card: ModelCard) -> tuple[str, ...]:
    summary = summary_of(card)
    cached = summary.kv_bytes_per_token + summary.window_kv_bytes_per_token
    return (
        card.name,
        _count(summary.parameters),
        _count(summary.active_parameters) if card.experts else "-",
        f"{summary.weight_bytes / 1e9:.1f} GB",
        _format(card),
        f"{cached / 1024:.0f} KiB",
        f"{card.max_model_len}",
    )


def _lines(card: ModelCard, summary: ModelSummary) -> Sequence[tuple[str, str]]:
    experts, formats = card.experts, card.formats
    stored = "as stored" if card.weight_bytes else "counted from the architecture"
    lines = [
        ("architecture", card.architecture),
        (
            "parameters",
            f"{_count(summary.parameters)}, {_count(summary.active_parameters)} of them for each token",
        ),
        ("weights", f"{summary.weight_bytes / 1e9:.1f} GB, {stored}"),
        ("layers", f"{card.layers}, {card.hidden_size} wide, MLP {card.intermediate_size or 'of experts only'}"),
        *(("attention", _attention(card, entry)) for entry in card.attention),
    ]
    if experts:
        shared = f", {experts.shared_intermediate_size} shared" if experts.shared_intermediate_size else ""
        each = f"{experts.per_token} of {experts.count} for each token"
        lines.append(("experts", f"{experts.layers} layers, {each}, {experts.intermediate_size} wide{shared}"))
    tied = ", head tied to it" if card.tied_embeddings else ""
    lines += [
        ("vocabulary", f"{card.vocab_size}{tied}"),
        ("formats", ", ".join(f"{part} {getattr(formats, part)}" for part in PARTS)),
        ("KV cache", _cache(card, summary)),
        ("length", f"{card.max_model_len} tokens"),
    ]
    if card.vision_parameters:
        lines.append(("beside it", f"{_count(card.vision_parameters)} parameters, for pictures and the like"))
    return lines


def _attention(card: ModelCard, entry: Attention) -> str:
    heads = f"{entry.heads} heads, {entry.kv_heads} for keys and values, {entry.head_dim} wide"
    if entry.kind is AttentionKind.LINEAR:
        return f"{entry.layers} recurrent layers, a state of {entry.state_bytes / 1024:.0f} KiB each"
    if card.latent:
        heads = f"{entry.heads} heads, latent of {card.latent.cached_width} values"
    sees = f"the last {entry.window_tokens} tokens" if entry.window_tokens else "everything"
    if entry.sparse_tokens:
        sees = f"the best {entry.sparse_tokens} tokens"
    shared = ", with caches of earlier layers" if entry.shares_cache else ""
    return f"{entry.layers} layers that see {sees}{shared}: {heads}"


def _cache(card: ModelCard, summary: ModelSummary) -> str:
    kept = f"in {card.kv_cache or Numbers.BF16}"
    parts = []
    if summary.kv_bytes_per_token:
        parts.append(f"{summary.kv_bytes_per_token / 1024:.1f} KiB a token {kept}")
    if summary.window_kv_bytes_per_token:
        parts.append(f"{summary.window_kv_bytes_per_token / 1024:.1f} KiB a token of the window")
    if summary.state_bytes:
        parts.append(f"{summary.state_bytes / 1024**2:.1f} MiB a sequence")
    return ", ".join(parts)


def _format(card: ModelCard) -> str:
    """The format most weights are in."""
    formats = card.formats
    return str(formats.experts if card.experts else formats.mlp)


def _count(number: float) -> str:
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"
