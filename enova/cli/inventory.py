"""`enova inventory`: what there is to run on, and who uses it."""

from __future__ import annotations

import json

import typer

from enova.cli.inventory_at_hand import inventory_at_hand
from enova.cli.options import Color, InventoryFile, TextOrJson
from enova.cli.session import session_of


def inventory(
    ctx: typer.Context,
    inventory: InventoryFile = None,
    output: TextOrJson = "text",
    color: Color = "auto",
) -> int:
    """Show what there is to run on, and the GPUs of this host with who uses them.

    A file declares hosts one has and kinds one might rent (docs/inventory.md); without one it is this host that
    there is to run on. Memory in GiB, the price of one GPU for an hour. Exits with 0, with 1 if the GPUs here
    could not be looked at or there are problems in the file, and 64 if called wrongly.

    \b
    Examples:
      $ enova inventory
      $ enova inventory --inventory inventory.yaml
      $ enova inventory -o json | jq '.host.gpus[] | select(.instances == [] and (.foreign | not))'
    """
    from enova.core.observed import Unknown
    from enova.observe import observe
    from enova.render.inventory import inventory_as_json, inventory_text

    session = session_of(ctx)
    world = session.world()
    observed = observe(world, needed=set(world.runtimes), gpus=True)
    found = inventory_at_hand(session, inventory, observed=observed)
    if output == "json":
        told = inventory_as_json(found, observed.gpus, observed.instances())
        session.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    else:
        session.show(inventory_text(found, observed.gpus, observed.instances()), color)
    return 1 if isinstance(observed.gpus, Unknown) else 0
