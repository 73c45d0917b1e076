"""A command line per test that leaves nothing behind, as in the tests of whole paths."""

from tests.e2e.conftest import enova

__all__ = ["enova"]
