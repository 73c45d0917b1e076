"""The `enova` command."""

from __future__ import annotations

import sys

from enova.cli.app import run
from enova.cli.session import this_machine


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run(sys.argv[1:], this_machine()))


if __name__ == "__main__":
    main()
