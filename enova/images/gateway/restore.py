"""Give a restarted router back the workers it is to remember, each as soon as it answers, and end.

Runs inside the gateway's image, on the standard library alone. The arguments are the router's own.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

ROUTES = Path("/var/lib/enova/routes")
POLL_S = 1.0
TIMEOUT_S = 35.0
"""The router answers an add only after a health check of its own, which may take it 30 s."""

_web = build_opener(ProxyHandler({}))


def main() -> None:
    """Wait for each worker by itself: one whose name no longer resolves takes seconds to say so."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    router = f"http://127.0.0.1:{parser.parse_known_args()[0].port}"
    for worker_url in sorted(remembered()):
        threading.Thread(target=restore, args=(router, worker_url)).start()


def restore(router: str, worker_url: str) -> None:
    """Add the worker once. One that is no longer remembered was removed on purpose."""
    while worker_url in remembered() and not restored(router, worker_url):
        time.sleep(POLL_S)  # noqa: TID251 - a program of its own, not part of the core


def remembered() -> set[str]:
    return set(ROUTES.read_text().split())


def restored(router: str, worker_url: str) -> bool:
    """Return whether the router has the worker now. It is offered only once it says it can serve."""
    try:
        ask("GET", f"{worker_url}/health")
        if worker_url not in json.loads(ask("GET", f"{router}/list_workers"))["urls"]:
            ask("POST", f"{router}/add_worker?url={quote(worker_url, safe='')}")
    except (OSError, HTTPException):
        return False
    return True


def ask(method: str, url: str) -> bytes:
    with _web.open(Request(url, method=method), timeout=TIMEOUT_S) as answer:  # noqa: S310 - our own http URLs
        body: bytes = answer.read()
        return body


if __name__ == "__main__":
    main()
