"""The model's own tokenizer, where it is at hand: through the library `tokenizers`, and never from the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any, NamedTuple

import numpy as np

from enova.core.workload.words import WORDS
from enova.errors import UsageError

FILE = "tokenizer.json"
MOST_WORDS = 5000
SAMPLES, SAMPLE_WORDS = 20, 400


class Words(NamedTuple):
    """Words that are one token each."""

    words: tuple[str, ...]
    between: str
    """What stands between two of them."""


class Tokenizer:
    """Counts tokens, and knows words that are one token each."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each text, without those that servers put around it."""
        return [len(one.ids) for one in self._inner.encode_batch(list(texts), add_special_tokens=False)]

    def words(self) -> Words:
        """Return words of which so many are as many tokens; none if this tokenizer has no such words."""
        letters = list(ascii_lowercase)
        for candidates, between in ((self._candidates(), " "), (letters, "")):
            # As the first of a text a word has no space before it.
            forms = [form for word in candidates for form in (word, f"{word}{between}{word}")]
            counts = self.count(forms)
            pairs = zip(candidates, counts[::2], counts[1::2], strict=True)
            found = Words(tuple(word for word, once, twice in pairs if (once, twice) == (1, 2)), between)
            if len(found.words) > 1 and self._adds_up(found):
                return found
        return Words((), " ")

    def _candidates(self) -> list[str]:
        """Return common words, and of the vocabulary what is spelt like one."""
        spelt = {token.lstrip("\u0120\u2581") for token in self._inner.get_vocab()}
        own = sorted(word for word in spelt if word.isascii() and word.isalpha() and word.islower())
        return list(dict.fromkeys([*WORDS, *own]))[:MOST_WORDS]

    def _adds_up(self, found: Words) -> bool:
        """Tell whether texts of these words, in any order, have as many tokens as words."""
        rng = np.random.default_rng(0)
        samples = [rng.integers(0, len(found.words), SAMPLE_WORDS) for _ in range(SAMPLES)]
        texts = [found.between.join([found.words[place] for place in sample]) for sample in samples]
        return set(self.count(texts)) == {SAMPLE_WORDS}


def tokenizer_of(place: str) -> Tokenizer | None:
    """Return the tokenizer of a folder, a tokenizer.json, or a model in the Hugging Face cache; None: not here.

    Raises UsageError for a file that is no tokenizer.
    """
    try:
        from tokenizers import Tokenizer as Inner
    except ImportError:
        return None
    file = _file_of(place)
    if file is None:
        return None
    try:
        return Tokenizer(Inner.from_file(str(file)))
    except Exception as error:
        raise UsageError(f"{file} is no tokenizer: {error}") from error


def _file_of(place: str) -> Path | None:
    path = Path(place).expanduser()
    for file in (path / FILE, path):
        if file.is_file():
            return file
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(place, FILE)
    except HFValidationError:
        return None
    return Path(cached) if isinstance(cached, str) else None
