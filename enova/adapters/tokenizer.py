"""The tokenizer of a model, where it is at hand in a folder or Hugging Face's cache, by the library `tokenizers`.

The library is optional (`enova[tokenizer]`), and nothing here asks the network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, NamedTuple

from enova.errors import CannotModel

if TYPE_CHECKING:
    import tokenizers

FILE = "tokenizer.json"

_BATCH = 4096
_PLAIN = re.compile("[a-z]{2,12}")
_SPACE = "Ġ▁"
"""What vocabularies write for the space before a word."""
_AT_A_TIME = 50


class Words(NamedTuple):
    """Words that are one token each."""

    words: tuple[str, ...]
    between: str
    """What stands between two of them."""


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Counts tokens as the model's server does, but for what a chat template adds."""

    _inner: tokenizers.Tokenizer

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text is, without special ones."""
        encoded = self._inner.encode_batch(list(texts), add_special_tokens=False)
        return [len(each) for each in encoded]

    def words(self, most: int = 2000) -> Words:
        """Return plain words, each one token wherever it stands in a text of them, in the vocabulary's order.

        Of a vocabulary without such words, letters that are; none of one that has neither.
        """
        alone = list(islice(self._alone(), most))
        words = tuple(word for words in _parts(alone) for word in self._fit(words))
        if len(words) > 1:
            return Words(words, " ")
        letters = [letter for letter in ascii_lowercase if self.count([letter, letter + letter]) == [1, 2]]
        text = "".join(first + second for first in letters for second in letters)
        return Words(tuple(letters) if self.count([text]) == [len(text)] else (), "")

    def _alone(self) -> Iterator[str]:
        """Yield the words that are one token at the beginning of a text and after another word."""
        tokens = sorted(self._inner.get_vocab(with_added_tokens=False).items(), key=lambda entry: entry[1])
        plain = dict.fromkeys(token.lstrip(_SPACE) for token, _ in tokens)
        words = [word for word in plain if _PLAIN.fullmatch(word)]
        for first in range(0, len(words), _BATCH):
            batch = words[first : first + _BATCH]
            one, two = self.count(batch), self.count([f"{word} {word}" for word in batch])
            yield from (word for word, *counts in zip(batch, one, two, strict=True) if counts == [1, 2])

    def _fit(self, words: Sequence[str]) -> Sequence[str]:
        """Return those words that stay one token each beside each other, either way round."""
        if self.count([" ".join(words), " ".join(reversed(words))]) == [len(words)] * 2:
            return words
        if len(words) == 1:
            return ()
        half = len(words) // 2
        return [*self._fit(words[:half]), *self._fit(words[half:])]


def tokenizer_of(place: str) -> Tokenizer | None:
    """Return the tokenizer in a folder or a file, or of a model in Hugging Face's cache; None: it is not at hand.

    Raises CannotModel for a file that is no tokenizer.
    """
    path = _file_of(place)
    if path is None or find_spec("tokenizers") is None:
        return None
    from tokenizers import Tokenizer as Library

    try:
        inner = Library.from_file(str(path))
    except Exception as error:
        # The library has no exceptions of its own.
        raise CannotModel(f"{path} is not a tokenizer: {error}") from error
    inner.no_truncation()
    inner.no_padding()
    return Tokenizer(inner)


def _file_of(place: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    path = Path(os.path.expanduser(place))  # noqa: PTH111 - a stranger's home is no error, just no folder
    if path.is_file():
        return path
    if path.is_dir():
        return path / FILE if (path / FILE).is_file() else None
    try:
        found = try_to_load_from_cache(place, FILE)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def _parts(words: Sequence[str]) -> Iterator[Sequence[str]]:
    return (words[first : first + _AT_A_TIME] for first in range(0, len(words), _AT_A_TIME))
