"""One model, wherever it is found first."""

from __future__ import annotations

import os
from pathlib import Path

from enova.adapters.models.folder import CONFIG, card_in
from enova.adapters.models.hub import Hub, NotOnHub
from enova.core.engine.model_card import ModelCard
from enova.errors import CannotModel
from enova.facts.reading import known_models


def find_card(
    model: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    offline: bool = False,
    cache_dir: Path | None = None,
    endpoint: str | None = None,
) -> ModelCard:
    """Return the card of a model: from a folder of that name, the Hugging Face cache, Enova's facts, or the hub.

    Args:
        model: a folder, or the name of a model on the hub.
        revision: branch, tag or commit on the hub; facts are the same for all.
        token: for the hub; by default the one the user is logged in with.
        offline: do not ask the hub.
        cache_dir: of Hugging Face, by default the user's.
        endpoint: of the hub, by default huggingface.co.

    Raises:
        CannotModel: found nowhere, with all the places it was looked for, or found and not understood.
    """
    folder = Path(os.path.expanduser(model))  # noqa: PTH111 - a stranger's home is no error, just no folder
    if (folder / CONFIG).is_file():
        return card_in(folder, name=model)
    hub = Hub(token=token, cache_dir=cache_dir, endpoint=endpoint)
    cached = hub.cached_folder(model, revision)
    if cached is not None:
        return card_in(cached, name=model)
    known = known_models().find(model)
    if known is not None:
        return known
    reason = "not asked"
    if not offline:
        try:
            return hub.card(model, revision)
        except NotOnHub as absence:
            reason = str(absence)
    raise CannotModel(
        f"no model {model} was found: looked for {folder / CONFIG}, in {hub.cache}, in Enova's facts "
        f"and on the hub ({reason})",
        hint=known_models().hint(model),
    )
