"""What there is to run on, as every command that asks sees it: declared in a file, or found on this host."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from enova.cli.session import Session

if TYPE_CHECKING:
    from enova.core.inventory import Inventory
    from enova.core.observed import Observed, Unknown


def inventory_at_hand(
    session: Session, file: Path | None = None, *, observed: Observed | None = None
) -> Inventory | Unknown:
    """Return what there is to run on; Unknown where the driver does not answer, which is not the same as nothing.

    What is declared goes first: `file`, then ENOVA_INVENTORY, then the file in the config folder, then this host.

    Args:
        session: of the command.
        file: what the user named with --inventory.
        observed: a look at this host and its GPUs, where there was one already.

    Raises:
        InventoryError: with everything that is wrong in the file.
        UsageError: the file of prices cannot be used.
    """
    from enova.adapters.facts import gpu_cards
    from enova.adapters.specfiles import read_inventory
    from enova.core.devices import foreign_gpus
    from enova.core.inventory import inventory_here
    from enova.core.observed import Unknown
    from enova.observe import observe

    cards = gpu_cards(session.settings.prices)
    declared = file or session.settings.inventory
    if declared is not None:
        return read_inventory(declared, cards)
    if observed is None:
        world = session.world()
        observed = observe(world, needed=set(world.runtimes), gpus=True)
    if isinstance(observed.gpus, Unknown):
        return observed.gpus
    found = inventory_here(observed.gpus, cards, observed.instances())
    unseen = [look.reason for look in observed.runtimes.values() if isinstance(look, Unknown)]
    if unseen and foreign_gpus(observed.gpus, observed.instances()):
        return replace(found, notes=(*found.notes, *(f"{reason}; GPUs in use may be ours" for reason in unseen)))
    return found
