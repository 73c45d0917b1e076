"""Run one emulated engine until it is told to stop: `python -m enova.emulator MODEL`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

from enova.emulator.arguments import parse
from enova.emulator.server import Server
from enova.errors import EnovaError

log = logging.getLogger("enova.emulator")


def main() -> None:
    """Serve; SIGTERM and SIGINT end it with exit status 0."""
    # Uvicorn raises the signal again once it has shut down, and this handler turns that into a clean exit; before
    # uvicorn takes over it is what ends the process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = parse(sys.argv[1:], api_key=os.environ.get("VLLM_API_KEY"))
    log.info("%s at http://%s:%d", ", ".join(settings.names), settings.host, settings.port)
    if settings.ignored:
        log.info("ignored, since they change no emulation: %s", " ".join(settings.ignored))
    try:
        server = Server(settings)
    except EnovaError as error:
        log.error("%s%s", error.message, f" (hint: {error.hint})" if error.hint else "")  # noqa: TRY400
        sys.exit(1)
    time.sleep(settings.start_up_s)
    if settings.crash_after_s is not None:
        crash = threading.Timer(settings.crash_after_s, _crash)
        crash.daemon = True
        crash.start()
    server.run()


def _crash() -> None:
    log.error("ends, as it was told to with --crash-after")
    os._exit(1)


if __name__ == "__main__":
    main()
