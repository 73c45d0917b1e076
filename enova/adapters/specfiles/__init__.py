"""Spec files, inventories and traffic profiles: from paths to what was checked, or to every problem at once."""

from enova.adapters.specfiles.inventory import read_inventory
from enova.adapters.specfiles.load import SpecFile, Survey, load, survey
from enova.adapters.specfiles.profile import read_profile

__all__ = ["SpecFile", "Survey", "load", "read_inventory", "read_profile", "survey"]
