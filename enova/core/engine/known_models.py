"""Models by name, from entries in the form of their `config.json`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from enova.core.engine.model_card import ModelCard
from enova.core.engine.model_config import card_of
from enova.errors import CannotModel

Entry = Mapping[str, Any]

_NOT_CONFIG = ("aliases", "same_as", "parameters", "weight_bytes")


class KnownModels:
    """Looks models up by name or alias, whatever their capitals; a card is made only of what is asked for."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self._names = {
            word.casefold(): name for name, entry in entries.items() for word in (name, *entry.get("aliases", ()))
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name and alias, sorted."""
        words = (word for name, entry in self._entries.items() for word in (name, *entry.get("aliases", ())))
        return tuple(sorted(words, key=str.casefold))

    def find(self, name: str) -> ModelCard | None:
        """Return the card of a model under the name it was asked for, None if it is not known."""
        known = self._names.get(name.casefold())
        if known is None:
            return None
        written = next((word for word in self.names if word.casefold() == name.casefold()), name)
        entry = self._entries[known]
        return card_of(
            self._config(known),
            name=written,
            parameters=entry.get("parameters"),
            weight_bytes=entry.get("weight_bytes"),
        )

    def card(self, name: str) -> ModelCard:
        """Return the card of a model.

        Raises:
            CannotModel: it is not known; the hint names those that are called alike.
        """
        card = self.find(name)
        if card is None:
            raise CannotModel(f"there are no facts for a model {name}", hint=self.hint(name))
        return card

    def hint(self, name: str) -> str:
        """Return what to do about a name that is not known."""
        by_folded = {word.casefold(): word for word in self.names}
        close = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)
        if close:
            return f"did you mean {' or '.join(by_folded[word] for word in close)}?"
        return "see `enova models` for those there are facts for"

    def _config(self, name: str) -> dict[str, Any]:
        """The keys of an entry and of those it is the same as, its own first."""
        entry = self._entries[name]
        base = self._config(entry["same_as"]) if "same_as" in entry else {}
        own = {key: value for key, value in entry.items() if key not in _NOT_CONFIG}
        return {**base, **own}
