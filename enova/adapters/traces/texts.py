"""Prompts as text, in the forms that datasets and evaluation sets have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from enova.adapters.traces.rows import Row

CONVERSATIONS = "conversations"
_OPTIONS = ("a", "b", "c", "d")
_HUMAN, _MODEL = frozenset({"human", "user"}), frozenset({"gpt", "assistant", "chatgpt"})


def text_column(row: Row) -> str | None:
    """Return the column that holds a file's prompts as text, going by one of its rows."""
    return next((name for name in _TEXTS if name in row), None)


def text_in(row: Row, column: str) -> str:
    """Return the prompt in a row. Raises ValueError where there is none."""
    return _TEXTS[column](row)


def opening(row: Row) -> tuple[str, str] | None:
    """Return the first human turn of a conversation and the model's next, None where it lacks either.

    Raises ValueError for what is no conversation.
    """
    prompt: str | None = None
    for turn in _turns(row.get(CONVERSATIONS), "from", "value"):
        if prompt is None and turn["from"] in _HUMAN:
            prompt = text(turn["value"])
        elif prompt is not None and turn["from"] in _MODEL:
            return prompt, text(turn["value"])
    return None


def text(value: Any) -> str:
    """Return a value that must be text. Raises ValueError if it is not."""
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 - a mistake in the file, reported as all others are
    return value


def _turns(value: Any, *names: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(
        isinstance(turn, dict) and all(name in turn for name in names) for turn in value
    ):
        raise ValueError(f"must be a list of turns, each with {' and '.join(names)}")
    return value


def _question(row: Row) -> str:
    """Return a question with its options below it, if it has any."""
    options = [f"{name.upper()}. {row[name]}" for name in _OPTIONS if row.get(name) is not None]
    return "\n".join([text(row.get("question")), *options])


def _instruction(row: Row) -> str:
    given = row.get("input")
    return "\n\n".join([text(row.get("instruction")), *([text(given)] if given else [])])


def _messages(row: Row) -> str:
    turns = _turns(row.get("messages"), "role", "content")
    users = [_content(turn["content"]) for turn in turns if turn["role"] == "user"]
    if not users:
        raise ValueError("has no turn of a user")
    return "\n\n".join(users)


def _content(value: Any) -> str:
    """Return a message's text, which may be in parts beside pictures and the like."""
    if not isinstance(value, list):
        return text(value)
    return "".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))


def _conversation(row: Row) -> str:
    found = opening(row)
    if found is None:
        raise ValueError("has no turn of a human that the model answers")
    return found[0]


_TEXTS: Mapping[str, Callable[[Row], str]] = {
    "prompt": lambda row: text(row.get("prompt")),
    CONVERSATIONS: _conversation,
    "messages": _messages,
    "question": _question,
    "instruction": _instruction,
    "text": lambda row: text(row.get("text")),
}
TEXT_COLUMNS = tuple(_TEXTS)
