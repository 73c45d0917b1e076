"""Spec files: from paths to checked services, or to every problem of every file at once."""

from enova.adapters.specfiles.load import SpecFile, load

__all__ = ["SpecFile", "load"]
