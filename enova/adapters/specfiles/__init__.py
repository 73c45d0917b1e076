"""Spec files and inventories: from paths to what was checked, or to every problem of every file at once."""

from enova.adapters.specfiles.inventory import read_inventory
from enova.adapters.specfiles.load import SpecFile, load

__all__ = ["SpecFile", "load", "read_inventory"]
