"""Run one emulated engine until it is told to stop: `python -m enova.emulator MODEL`."""

from __future__ import annotations

import logging
import os
import signal
import sys

from enova.emulator.arguments import parse
from enova.emulator.server import Server

log = logging.getLogger("enova.emulator")


def main() -> None:
    """Serve; SIGTERM and SIGINT end it with exit status 0."""
    # Uvicorn raises the signal again once it has shut down, and this handler turns that into a clean exit; before
    # uvicorn takes over it is what ends the process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = parse(sys.argv[1:], api_key=os.environ.get("VLLM_API_KEY"))
    log.info(
        "EMULATED engine, no model is loaded: %s at http://%s:%d, up to %d requests at once",
        ", ".join(settings.names), settings.host, settings.port, settings.max_num_seqs,
    )  # fmt: skip
    if settings.ignored:
        log.info("ignored, since they mean something to vLLM only: %s", " ".join(settings.ignored))
    Server(settings).run()


if __name__ == "__main__":
    main()
