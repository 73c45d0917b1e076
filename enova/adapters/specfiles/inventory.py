"""Reads a declared inventory, and reports every problem with its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from enova.adapters.specfiles.nodes import Document, documents
from enova.adapters.specfiles.reading import inside, is_blank, problems_of, read_bytes
from enova.adapters.specfiles.text import decode
from enova.core.engine.gpu_card import GpuCard
from enova.core.engine.gpu_facts import find_gpu
from enova.core.inventory import Inventory, inventory_declared
from enova.core.spec.check import check_as
from enova.core.spec.explain import Finding
from enova.core.spec.inventory import DeclaredInventory
from enova.errors import InventoryError, Problem


def read_inventory(path: Path, cards: Sequence[GpuCard]) -> Inventory:
    """Return what a file declares that there is to run on. `cards` have the prices that hold where it has none.

    Raises:
        InventoryError: with everything that is wrong in the file.
    """
    name = str(path)
    raw = read_bytes(name, path)
    text = raw if isinstance(raw, Problem) else decode(raw, name)
    if isinstance(text, Problem):
        raise InventoryError([text])
    written = [document for document in documents(text) if not is_blank(document)]
    if not written:
        raise InventoryError([Problem(name, 1, 1, "", "holds no inventory", "see docs/inventory.md")])
    first, *others = written
    problems = [_too_many(name, document) for document in others[:1]]
    declared, findings = None, list[Finding]()
    if first.root is not None:
        context = {"find_gpu": lambda gpu: find_gpu(cards, gpu).name}
        declared, findings = check_as(DeclaredInventory, first.root.data, context)
    nulls = [null for null in first.nulls if not (null.loc and str(null.loc[0]).startswith("x-"))]
    problems += problems_of(name, first, findings, nulls)
    if problems or declared is None or first.root is None:
        raise InventoryError(inside(problems, text))
    lists = first.root.children
    return inventory_declared(
        declared, cards, lambda part, index: f"{path.name}:{lists[part].children[index].line}"
    )


def _too_many(name: str, document: Document) -> Problem:
    place = document.root or document.misfits[0]
    hint = "put all hosts into one list"
    return Problem(name, place.line, place.column, "", "a second document: an inventory is one", hint)
