"""Prompts as text: which columns of a dataset hold them, in the forms that public datasets have."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from enova.adapters.traces.rows import Values

BYTES_PER_TOKEN = 4
"""What texts without a count of tokens are divided by: about right for English in today's vocabularies."""
OPTIONS = ("a", "b", "c", "d")


class Form(NamedTuple):
    """How a dataset says what is asked."""

    column: str
    prompt: Callable[[Values], str]
    answer: Callable[[Values], str] | None = None
    """Whose length is that of answers."""
    answers: str = ""
    """The column they are in."""


def form_of(values: Values) -> Form | None:
    """Return the form of a dataset, going by the columns of its first row; None: it holds no texts."""
    return next((form for form in FORMS if form.column in values), None)


def usable(form: Form, values: Values) -> bool:
    """Tell whether a row holds a request: conversations may lack a question, or the answer to it."""
    return form.column != "conversations" or all(_turns(values))


def tokens_in(text: str) -> int:
    """Return about how many tokens a text has."""
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN) or 1


def _plain(column: str) -> Callable[[Values], str]:
    return lambda values: _text(values.get(column))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 - a mistake in the file, reported as all others are
    return value


def _question(values: Values) -> str:
    """Return a question, with the options to choose from if there are some, as in MMLU."""
    options = [f"{name.upper()}. {values[name]}" for name in OPTIONS if name in values]
    return "\n".join([_text(values.get("question")), *options])


def _instruction(values: Values) -> str:
    """Return an instruction with what it is about, as in Alpaca."""
    about = values.get("input")
    return "\n\n".join([_text(values.get("instruction")), *([_text(about)] if about else [])])


def _messages(values: Values) -> str:
    messages = values.get("messages")
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        raise ValueError("must be a list of messages with role and content")
    asked = [_text(one.get("content")) for one in messages if one.get("role") == "user"]
    if not asked:
        raise ValueError("has no message of a user")
    return "\n\n".join(asked)


def _turns(values: Values) -> tuple[str, str]:
    """Return the first question of a conversation and the answer to it, as in ShareGPT; empty where one lacks."""
    turns = values.get("conversations")
    if not isinstance(turns, list) or not all(isinstance(one, dict) for one in turns):
        raise ValueError("must be a list of turns with from and value")
    asked = next((place for place, one in enumerate(turns) if one.get("from") in ("human", "user")), None)
    if asked is None:
        return "", ""
    answers = (one.get("value") for one in turns[asked + 1 : asked + 2] if one.get("from") in ("gpt", "assistant"))
    return _text(turns[asked].get("value")), _text(next(answers, ""))


FORMS = (
    Form("prompt", _plain("prompt")),
    Form("conversations", lambda values: _turns(values)[0], lambda values: _turns(values)[1], "conversations"),
    Form("messages", _messages),
    Form("question", _question),
    Form("instruction", _instruction, _plain("output"), "output"),
    Form("text", _plain("text")),
)
"""The first whose column is there counts."""
