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
        # By the name in lower case: as it is written, and the entry it stands for.
        self._names = {
            word.casefold(): (word, name)
            for name, entry in entries.items()
            for word in (name, *entry.get("aliases", ()))
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Return every name and alias, sorted."""
        return tuple(written for _, (written, _) in sorted(self._names.items()))

    def find(self, name: str) -> ModelCard | None:
        """Return the card of a model, named as it is on the hub, None if it is not known."""
        found = self._names.get(name.casefold())
        if found is None:
            return None
        written, known = found
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
        close = difflib.get_close_matches(name.casefold(), self._names, n=3, cutoff=0.6)
        if close:
            return f"did you mean {' or '.join(self._names[word][0] for word in close)}?"
        return "see `enova models` for those there are facts for"

    def _config(self, name: str) -> dict[str, Any]:
        """The keys of an entry and of those it is the same as, its own first."""
        entry = self._entries[name]
        base = self._config(entry["same_as"]) if "same_as" in entry else {}
        own = {key: value for key, value in entry.items() if key not in _NOT_CONFIG}
        return {**base, **own}
