"""What this installation knows: facts, files, and what there is to run on; each is read when it is asked for."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from enova.errors import EnovaError, UsageError

if TYPE_CHECKING:
    from enova.cli.session import Session
    from enova.core.engine.learnt import Learnt
    from enova.core.engine.model_card import ModelCard
    from enova.core.inventory import Inventory
    from enova.core.observed import Observed, Unknown
    from enova.core.simulate.results import ModelError
    from enova.core.spec import Service
    from enova.knowledge import Knowledge


def knowledge_of(session: Session, inventory: Path | None = None) -> Knowledge:
    """Return what is known here. `inventory` is a file that the user named with --inventory."""
    from enova.adapters.curves import measured_curves
    from enova.adapters.facts import gpu_cards
    from enova.adapters.model_error import measured_error
    from enova.adapters.traces import read_recording
    from enova.knowledge import Knowledge

    return Knowledge(
        model=model_of,
        gpus=lambda: gpu_cards(session.settings.prices),
        inventory=lambda observed: _inventory(session, inventory, observed),
        recording=cache(read_recording),
        learnt=cache(_learnt_of),
        digest=cache(_digest),
        curves=measured_curves,
        error=measured_error(),
        learnt_error=cache(lambda service, fingerprint: _learnt_error(session, service, fingerprint)),
    )


def model_of(service: Service, may_ask: bool = True) -> ModelCard:
    """Return the card of a service's model, from the network only if that may be asked. Raises CannotModel."""
    model = service.model
    return _card(model.id, model.revision, model.cache_dir, model.endpoint, may_ask)


@cache
def _card(model: str, revision: str | None, folder: str | None, endpoint: str | None, may_ask: bool) -> ModelCard:
    from enova.adapters.models import find_card

    cache_dir = Path(folder).expanduser() if folder else None
    return find_card(model, revision=revision, cache_dir=cache_dir, endpoint=endpoint, offline=not may_ask)


def _learnt_of(file: str) -> Learnt:
    """Return the calibration in a file. Raises UsageError."""
    from enova.core.engine.learnt import learnt_in

    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}", hint="make one with `enova calibrate`") from error
    return learnt_in(text, file)


def _learnt_error(session: Session, service: str, fingerprint: str) -> ModelError | None:
    from enova.adapters.history import history_of
    from enova.adapters.model_error import measured_error
    from enova.core.ledger.learning import error_with
    from enova.core.ledger.rows import ledger_of

    history, base = history_of(session.settings), measured_error()
    try:
        rows = ledger_of(history.applied(service), history.measurements(service)).rows
    except EnovaError as error:
        # History is there to learn from; a plan must not need it.
        session.say(f"note: nothing is learnt from what was measured: {error.message}")
        return None
    learnt = error_with((row for row in rows if row.fingerprint == fingerprint), base)
    return None if learnt == base else learnt


def _inventory(session: Session, file: Path | None, observed: Observed) -> Inventory | Unknown:
    from enova.cli.inventory_at_hand import inventory_at_hand
    from enova.core.observed import Unknown

    declared = file or session.settings.inventory
    unseen = next((look for look in observed.runtimes.values() if isinstance(look, Unknown)), None)
    if declared is None and unseen is not None:
        # GPUs in use may be ours: nothing is concluded from them.
        return unseen
    return inventory_at_hand(session, file, observed=observed)


def _digest(file: str) -> str:
    """Return a digest of what a file holds, or the config of a model's folder; empty where there is none."""
    path = Path(file)
    try:
        content = (path / "config.json" if path.is_dir() else path).read_bytes()
    except OSError:
        return ""
    return hashlib.sha256(content).hexdigest()[:16]
